#include "ingest/privacy/redacting_log.hpp"

namespace assay {
namespace {

// Where what people and models said stands; ids and times, and names of assessments, stand elsewhere.
constexpr JsonPlace of_feedback[] = {
    {"items.feedback"}, {"items.expectation"}, {"items.rationale"}, {"items.metadata"}};
constexpr std::string_view ids_of_chats[] = {"user_id", "session_id", "client_request_id"};
constexpr JsonPlace of_traces[] = {{.path = "trace_info.request_preview", .cut = true},
                                   {.path = "trace_info.response_preview", .cut = true},
                                   {.path = "trace_info.tags"},
                                   {.path = "trace_info.trace_metadata", .cut = true},
                                   {.path = "spans.name"},
                                   {.path = "spans.status.message"},
                                   {.path = "spans.attributes", .json_values = true, .kept = ids_of_chats},
                                   {.path = "spans.events.name"},
                                   {.path = "spans.events.attributes"},
                                   {.path = "spans.links.attributes"}};
constexpr JsonPlace of_open_chats[] = {{"message"}, {"inputs"}, {"name"}, {"tags"}};
constexpr JsonPlace of_catalog[] = {
    {"dataset_record.inputs"}, {"dataset_record.outputs"}, {"dataset_record.expectations"}};

// By whom, in which session, and what names something: `assay forget` and MLflow look for these. An experiment's id may
// have as many digits as a card.
constexpr std::string_view kept[] = {"mlflow.trace.user",           "mlflow.trace.session",       "assay.experiment",
                                     "mlflow.artifactLocation",     "mlflow.trace.spansLocation", "mlflow.experimentId",
                                     "mlflow.trace.archiveLocation"};

}  // namespace

RedactingLog::RedactingLog(EventLog& log, const Redactor& redactor, const RedactionRules& rules, Metrics& metrics)
    : log_(log),
      redactor_(redactor),
      rules_(rules),
      redacted_(metrics.counter("assay_ingest_redacted_total", "Records that something was taken out of")) {}

void RedactingLog::clear(Record& record) {
  if (!record.value) return;
  bool changed = false;
  if (record.stream == Stream::feedback && rules_.feedback)
    changed = redactor_.redact_json(*record.value, of_feedback);
  else if (record.stream == Stream::traces && rules_.traces)
    changed = redactor_.redact_json(*record.value, of_traces, kept);
  else if (record.stream == Stream::catalog && rules_.traces)
    changed = redactor_.redact_json(*record.value, of_catalog);
  if (changed) redacted_.Increment();
}

void RedactingLog::clear_journal_entry(std::string& json) const {
  if (!rules_.traces) return;
  redactor_.redact_json(json, of_traces, kept);
  redactor_.redact_json(json, of_open_chats, kept);
}

Task<Result<Appended>> RedactingLog::append(Record record) {
  clear(record);
  return log_.append(std::move(record));
}

Task<std::vector<Result<Appended>>> RedactingLog::append_all(std::vector<Record> records) {
  for (auto& record : records) clear(record);
  return log_.append_all(std::move(records));
}

Task<std::vector<Result<Appended>>> RedactingLog::append_with(std::vector<Record> records, Changes state) {
  for (auto& record : records) clear(record);
  return log_.append_with(std::move(records), std::move(state));
}

}  // namespace assay
