#include "ingest/privacy/redacting_log.hpp"

namespace assay {
namespace {

// Below these stands what people and models said; ids, names and times stand elsewhere.
constexpr std::string_view of_feedback[] = {"feedback", "expectation", "rationale", "metadata"};
constexpr std::string_view of_traces[] = {"request_preview", "response_preview",   "attributes",
                                          "events",          "mlflow.traceInputs", "mlflow.traceOutputs"};
constexpr std::string_view of_open_chats[] = {"message", "inputs"};

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
    changed = redactor_.redact_json(*record.value, of_traces);
  if (changed) redacted_.Increment();
}

void RedactingLog::clear_journal_entry(std::string& json) const {
  if (!rules_.traces) return;
  redactor_.redact_json(json, of_traces);
  redactor_.redact_json(json, of_open_chats);
}

Task<Result<Appended>> RedactingLog::append(Record record) {
  clear(record);
  return log_.append(std::move(record));
}

Task<std::vector<Result<Appended>>> RedactingLog::append_all(std::vector<Record> records) {
  for (auto& record : records) clear(record);
  return log_.append_all(std::move(records));
}

}  // namespace assay
