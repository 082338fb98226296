#pragma once
// What stands in the rows of MLflow's tables, as its SqlAlchemyStore of 3.17 fills them, the columns that it keeps
// twice for its searches included. Pure.
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ops/runtime/clock.hpp"
#include "storage/records/feedback_record.hpp"
#include "storage/sinks/mlflow_experiment.hpp"
#include "storage/store/trace_usage.hpp"

namespace assay::mlflow {

using Text = std::optional<std::string>;  // none: NULL

struct AssessmentColumns {
  std::string assessment_id, trace_id, name, type, value, source_type;
  Text error, source_id, run_id, span_id, rationale, overrides, metadata;
  std::int64_t created_ms = 0, updated_ms = 0;
  std::optional<double> aggregate;
  bool is_numeric = false, valid = true;
};
// `json`: MLflow's JSON of an assessment. Malformed: what the tables can't hold, in words.
Result<AssessmentColumns, Malformed> assessment_columns(std::string_view json, std::string_view trace_id,
                                                        Instant accepted_at);
// What changes say, each by its path in an AssessmentRow ("feedback", "metadata.k", …), put over a row. True: something
// of it is a column's.
bool apply_change(AssessmentColumns& row, std::string_view path, std::string_view json);

struct TraceColumns {
  std::string trace_id;
  ExperimentRef experiment;
  bool located = false;  // it can stand in trace_info; otherwise only its tags are known
  std::int64_t timestamp_ms = 0;
  std::optional<std::int64_t> duration_ms;
  std::string status;
  Text client_request_id, request_preview, response_preview, name, session;
  std::optional<std::int64_t> tokens[6];  // in the order of token_columns
  std::optional<double> costs[3];         // of cost_columns
  std::map<std::string, std::string> tags, metadata;
};
struct SpanColumns {
  std::string span_id, name, status, content;
  Text parent_span_id, type, model, provider;
  std::int64_t start_ns = 0;
  std::optional<std::int64_t> end_ns;
  std::optional<double> costs[3];
  SpanUsage usage;
};
Result<SpanColumns, Malformed> span_columns(std::string_view json);
// An id in hex, or in base64 of either alphabet, which ends where something else begins, and needs no padding: in hex.
std::string hex_id(std::string_view text);
// "0.048s"
std::optional<std::int64_t> duration_ms(const Text& text);

// `info`: trace_info with all that is known of it. Fills from `spans` what it lacks.
Result<TraceColumns, Malformed> trace_columns(std::string_view info, const std::vector<SpanColumns>& spans,
                                              Instant accepted_at);
// As much of the value of a tag, or of an entry of the metadata, as the tables take; none: nothing under such a key.
Text fitted(std::string_view key, std::string value);
Text fitted_preview(std::string_view text);
// The keys of tags that this trace_info takes away, but for ours.
std::vector<std::string> removed_tags(std::string_view info);

}  // namespace assay::mlflow
