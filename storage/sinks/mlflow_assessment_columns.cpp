// Assessments.
#include <cmath>

#include "storage/records/python_numbers.hpp"
#include "storage/sinks/mlflow_columns.hpp"
#include "storage/sinks/mlflow_json_text.hpp"

namespace assay::mlflow {
namespace {

constexpr std::size_t run_id_max = 32;

// What its analytics sum over: yes and no count as truth does, but are no numbers.
void set_value(AssessmentColumns& row, dom::element value, PythonJson how) {
  row.value.clear();
  append_python_json(row.value, value, how);
  row.aggregate.reset();
  row.is_numeric = false;
  bool truth = false;
  double number = 0;
  std::string_view text;
  if (!value.get_bool().get(truth)) {
    row.aggregate = truth ? 1 : 0;
  } else if (!value.get_double().get(number)) {
    if (!std::isfinite(number)) return;
    row.aggregate = number;
    row.is_numeric = true;
  } else if (!value.get_string().get(text)) {
    std::string word(text);
    word.erase(0, word.find_first_not_of(" \t\r\n\f\v"));
    word.erase(word.find_last_not_of(" \t\r\n\f\v") + 1);
    std::transform(word.begin(), word.end(), word.begin(), [](unsigned char c) { return std::tolower(c); });
    if (word == "yes" || word == "no") row.aggregate = word == "yes" ? 1 : 0;
  }
}

void set_feedback(AssessmentColumns& row, dom::element feedback) {
  dom::element value, error;
  row.type = "feedback";
  if (feedback.at_pointer("/value").get(value)) {
    row.value = "null";
    row.aggregate.reset();
    row.is_numeric = false;
  } else {
    set_value(row, value, {.doubles = true});
  }
  row.error.reset();
  if (feedback.at_pointer("/error").get(error) || !error.is_object()) return;
  std::string out = "{";
  for (const std::string key : {"error_code", "error_message", "stack_trace"}) {
    auto text = not_empty(text_in(error, "/" + key));
    if (!text && key == "error_code") text.emplace();  // MLflow can't read a trace of which an error has none
    append_python_string(out += out.size() > 1 ? ", " : "", key);
    out += ": ";
    if (text)
      append_python_string(out, *text);
    else
      out += "null";
  }
  row.error = out + "}";
}

// Whether it expects something: MLflow can read no trace of which an expectation is null.
bool set_expectation(AssessmentColumns& row, dom::element expectation) {
  dom::element value;
  row.type = "expectation";
  if (const auto text = text_in(expectation, "/serialized_value/value")) {
    dom::parser parser;
    if (const auto inner = parsed(parser, *text)) {
      if (inner->is_null()) return false;
      set_value(row, *inner, {});
      return true;
    }
    // NaN, or a number beyond 64 bits: JSON as Python writes it, which the column holds as it is.
    boost::system::error_code ec;
    (void)parse_python_json(*text, ec);
    if (ec) return false;
    row.value = *text;
    row.aggregate.reset();
    row.is_numeric = false;
    return true;
  }
  if (expectation.at_pointer("/value").get(value) || value.is_null()) return false;
  set_value(row, value, {.doubles = true});
  return true;
}

Text metadata_text(const std::map<std::string, std::string>& metadata) {
  if (metadata.empty()) return {};
  std::string out = "{";
  for (const auto& [key, value] : metadata) {
    append_python_string(out += out.size() > 1 ? ", " : "", key);
    append_python_string(out += ": ", value);
  }
  return out + "}";
}

std::optional<Malformed> problem_with(const AssessmentColumns& row) {
  const struct {
    const char* field;
    std::string_view text;
    std::size_t max;
  } fields[] = {{"assessment_id", row.assessment_id, id_max},
                {"trace_id", row.trace_id, id_max},
                {"assessment_name", row.name, name_max},
                {"source.source_id", row.source_id ? *row.source_id : std::string_view(), name_max},
                {"span_id", row.span_id ? *row.span_id : std::string_view(), id_max},
                {"overrides", row.overrides ? *row.overrides : std::string_view(), id_max},
                {"rationale", row.rationale ? *row.rationale : std::string_view(), std::string_view::npos}};
  for (const auto& [field, text, max] : fields) {
    if (!is_text(text)) return Malformed{std::string(field) + " holds a NUL"};
    if (characters(text) > max)
      return Malformed{std::string(field) + " is longer than the " + std::to_string(max) +
                       " characters that MLflow's table takes"};
  }
  return {};
}

}  // namespace

Result<AssessmentColumns, Malformed> assessment_columns(std::string_view json, std::string_view trace_id,
                                                        Instant accepted_at) {
  thread_local dom::parser parser;
  const auto root = parsed(parser, json);
  if (!root || !root->is_object()) return Malformed{"assessment is not valid JSON"};
  AssessmentColumns row;
  row.trace_id = trace_id;
  row.assessment_id = text_in(*root, "/assessment_id").value_or("");
  row.name = text_in(*root, "/assessment_name").value_or("");
  row.created_ms = ms_of(text_in(*root, "/create_time"), accepted_at);
  row.updated_ms = ms_of(text_in(*root, "/last_update_time"), accepted_at);
  row.source_type = text_in(*root, "/source/source_type").value_or("SOURCE_TYPE_UNSPECIFIED");
  row.source_id = not_empty(text_in(*root, "/source/source_id"));
  row.span_id = not_empty(text_in(*root, "/span_id"));
  row.rationale = not_empty(text_in(*root, "/rationale"));
  row.overrides = not_empty(text_in(*root, "/overrides"));
  bool valid = true;
  if (!root->at_pointer("/valid").get_bool().get(valid)) row.valid = valid;
  dom::element metadata;
  if (!root->at_pointer("/metadata").get(metadata))
    if (const auto strings = strings_of(metadata)) {
      row.metadata = metadata_text(*strings);
      // Of its create alone: a change of the metadata leaves the column as it is.
      const auto run = strings->find("mlflow.assessment.sourceRunId");
      if (run != strings->end() && is_text(run->second) && characters(run->second) <= run_id_max)
        row.run_id = run->second;
    }
  dom::element said;
  if (!root->at_pointer("/feedback").get(said) && said.is_object()) {
    set_feedback(row, said);
  } else if (!root->at_pointer("/expectation").get(said) && said.is_object()) {
    if (!set_expectation(row, said)) return Malformed{"expectation has no value"};
    row.rationale.reset();  // MLflow reads neither of an expectation
    row.overrides.reset();
  } else if (!root->at_pointer("/issue").get(said) && said.is_object()) {
    row.type = "issue";
    append_python_json(row.value, said);
  } else {
    return Malformed{"assessment has neither feedback nor expectation"};
  }
  if (auto problem = problem_with(row)) return std::move(*problem);
  return row;
}

bool apply_change(AssessmentColumns& row, std::string_view path, std::string_view json) {
  dom::parser parser;
  const auto value = parsed(parser, json);
  if (!value) return false;
  std::string_view text;
  const bool is_string = !value->get_string().get(text);
  if (path.starts_with("metadata.")) {
    std::map<std::string, std::string> metadata;
    dom::parser old_parser;
    if (row.metadata)
      if (const auto old = parsed(old_parser, *row.metadata)) metadata = strings_of(*old).value_or(metadata);
    const std::string key(path.substr(9));
    if (value->is_null()) {
      metadata.erase(key);
    } else if (is_string) {
      metadata[key] = text;
    } else {
      metadata[key].clear();
      append_python_json(metadata[key], *value);
    }
    row.metadata = metadata_text(metadata);
  } else if (path == "feedback" && row.type == "feedback" && value->is_object()) {
    set_feedback(row, *value);
  } else if (path == "expectation" && row.type == "expectation" && value->is_object()) {
    return set_expectation(row, *value);
  } else if (path == "rationale") {
    if (row.type == "expectation") return true;
    row.rationale = is_string && is_text(text) ? not_empty(std::string(text)) : Text();
  } else if (path == "assessment_name" && is_string && is_text(text) && !text.empty()) {
    row.name = cut(text, name_max);
  } else if (path == "last_update_time" && is_string) {
    row.updated_ms = ms_of(std::string(text), Instant(std::chrono::milliseconds(row.updated_ms)));
  } else {
    return false;
  }
  return true;
}

}  // namespace assay::mlflow
