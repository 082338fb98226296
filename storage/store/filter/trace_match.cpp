#include "storage/store/filter/trace_match.hpp"

#include <algorithm>

#include "storage/records/exact_json.hpp"
#include "storage/records/python_text.hpp"
#include "storage/store/feedback_tag.hpp"
#include "storage/store/keys.hpp"
#include "storage/store/trace_index.hpp"

namespace assay::filter {
namespace {

namespace json = boost::json;

// Of one session: what an assessment of the whole session is looked for in.
constexpr std::size_t session_traces_max = 1000;
constexpr std::string_view attribute_prefix = "attributes.";

double milliseconds(Instant at) { return static_cast<double>(at.time_since_epoch().count()); }

struct AssessmentValue {
  bool feedback = true;
  std::string text;  // the value as MLflow keeps it
  std::optional<double> number;
  bool of_session = false;
};

std::optional<AssessmentValue> assessment_value(const AssessmentRow& row) {
  boost::system::error_code ec;
  const auto parsed = parse_stored_json(row.json(true), ec);
  if (ec || !parsed.is_object()) return {};
  const auto& object = parsed.get_object();
  AssessmentValue said;
  const auto* kind = object.if_contains("feedback");
  if (!kind) {
    said.feedback = false;
    kind = object.if_contains("expectation");
  }
  if (!kind || !kind->is_object()) return {};
  if (const auto* metadata = object.if_contains("metadata"); metadata && metadata->is_object())
    said.of_session = metadata->get_object().contains("mlflow.trace.session");
  const auto* value = kind->get_object().if_contains("value");
  if (const auto* serialized = kind->get_object().if_contains("serialized_value");
      !value && serialized && serialized->is_object()) {
    if (const auto* text = serialized->get_object().if_contains("value"); text && text->is_string()) {
      const auto inner = parse_stored_json(text->get_string(), ec);
      said.text = ec ? "null" : python_json(inner);
      return said;
    }
  }
  if (!value) {
    said.text = "null";
    return said;
  }
  said.text = python_json(*value, {.doubles = true});
  if (value->is_number()) said.number = value->to_number<double>();
  return said;
}

std::string pattern_of_attribute(const Clause& clause) {
  const auto name = without_backticks(std::string_view(clause.key).substr(attribute_prefix.size()));
  const auto* given = std::get_if<std::string>(&clause.value);
  const std::string value = given ? *given : std::string();
  if (clause.op != "RLIKE") return "%\"" + name + "\"" + value + "%";
  std::string_view body(value);
  const bool from_start = body.starts_with('^'), to_end = body.ends_with('$');
  if (from_start) body.remove_prefix(1);
  if (to_end && !body.empty()) body.remove_suffix(1);
  return "\"" + name + "\": " + (from_start ? R"("\\")" : R"("\\".*)") + std::string(body) + (to_end ? R"(\\")" : "");
}

}  // namespace

Result<TraceMatch, Refusal> TraceMatch::make(const KeyValue& kv, const Store& store, TraceFilter filter,
                                             std::vector<std::string> experiments) {
  TraceMatch match(kv, store, std::move(experiments));
  for (auto& clause : filter) {
    const bool of_attribute = clause.kind == "span" && clause.key.starts_with(attribute_prefix);
    auto text = TextMatch::make(clause.op, of_attribute ? Value(pattern_of_attribute(clause)) : clause.value);
    if (!text) return text.error();
    match.about_spans_ |= clause.kind == "span";
    match.clauses_.push_back({std::move(clause), std::move(*text), {}});
  }
  return match;
}

Result<bool> TraceMatch::operator()(const std::string& trace_id, const TraceRow& row) {
  if (std::find(experiments_.begin(), experiments_.end(), row.experiment_id()) == experiments_.end()) return false;
  for (auto& compiled : clauses_) {
    const auto& kind = compiled.clause.kind;
    if (kind == "span") continue;
    if (kind == "attribute") {
      if (!attribute(compiled, trace_id, row)) return false;
    } else if (kind == "tag" || kind == "request_metadata") {
      const auto matches = entry(compiled, trace_id, row);
      if (!matches || !*matches) return matches;
    } else if (kind == "issue") {
      return false;  // no issues are kept here
    } else {
      const auto matches = assessment(compiled, trace_id, row);
      if (!matches || !*matches) return matches;
    }
  }
  return about_spans_ ? spans(trace_id) : Result<bool>(true);
}

std::optional<Refusal> TraceMatch::problem() const {
  for (const auto& compiled : clauses_)
    if (auto problem = compiled.text.problem()) return problem;
  return {};
}

bool TraceMatch::attribute(const Compiled& compiled, const std::string& trace_id, const TraceRow& row) const {
  const auto& [clause, text, sessions] = compiled;
  if (clause.key == "request_id") return text(trace_id);
  if (clause.key == "timestamp_ms") return compare_number(milliseconds(row.time()), clause.op, clause.value);
  const auto duration = row.duration_ms();
  if (clause.key == "execution_time_ms")
    return duration && compare_number(static_cast<double>(*duration), clause.op, clause.value);
  if (clause.key == "end_time_ms")
    return compare_number(milliseconds(row.time()) + static_cast<double>(duration.value_or(0)), clause.op,
                          clause.value);
  const auto value = row.text_at(clause.key == "status" ? "state" : clause.key);
  return value && text(*value);
}

Result<std::optional<std::string>> entry_of(const Store& store, std::string_view kind, const std::string& key,
                                            const std::string& trace_id, const TraceRow& row) {
  if (kind != "tag") return row.text_at("trace_metadata." + key);
  if (key == feedback_tag_name && !row.tag(key, trace_id, false)) {  // as info_json shows it
    const auto said = store.assessments_of(trace_id);
    if (!said) return said.error();
    const auto tag = feedback_tag(*said);
    return tag.empty() ? std::nullopt : std::optional(tag);
  }
  if (key != spans_location_tag) return row.tag(key, trace_id, false);
  const auto has_spans = store.has_spans(trace_id);
  if (has_spans.has_error()) return has_spans.error();
  return row.tag(key, trace_id, *has_spans);
}

Result<bool> TraceMatch::entry(const Compiled& compiled, const std::string& trace_id, const TraceRow& row) const {
  const auto& clause = compiled.clause;
  if (clause.key == "mlflow.linkedPrompts" && clause.kind == "tag") return false;  // nor are prompts
  const auto entry = entry_of(*store_, clause.kind, clause.key, trace_id, row);
  if (!entry) return no_answer(entry.error());
  const auto& value = *entry;
  if (clause.op == "IS NULL") return !value;
  if (clause.op == "IS NOT NULL") return value.has_value();
  return value && compiled.text(*value);
}

namespace {

bool matches(const Clause& clause, const TextMatch& text, const Store::Assessment& assessment, bool of_session_only) {
  if (!assessment.valid || assessment.row.name() != clause.key) return false;
  const auto said = assessment_value(assessment.row);
  if (!said || said->feedback != (clause.kind == "feedback") || (of_session_only && !said->of_session)) return false;
  if (clause.op == "IS NULL" || clause.op == "IS NOT NULL") return true;
  if (clause.op == "<" || clause.op == "<=" || clause.op == ">" || clause.op == ">=")
    return said->number && compare_number(*said->number, clause.op, clause.value);
  if (clause.op != "=" && clause.op != "!=") return text(said->text);
  const auto* value = std::get_if<std::string>(&clause.value);
  const bool equal = value && (said->text == *value || said->text == python_json(json::value(*value)));
  return equal == (clause.op == "=");
}

}  // namespace

Result<bool> TraceMatch::assessment(Compiled& compiled, const std::string& trace_id, const TraceRow& row) {
  const auto all = store_->assessments_of(trace_id);
  if (!all) return no_answer(all.error());
  bool found = std::any_of(all->begin(), all->end(), [&](const Store::Assessment& one) {
    return matches(compiled.clause, compiled.text, one, false);
  });
  if (const auto session = row.text_at("trace_metadata." + std::string(trace_index::session_key)); !found && session) {
    const auto covered = this->session(compiled, *session);
    if (!covered) return covered;
    found = *covered;
  }
  return found != (compiled.clause.op == "IS NULL");
}

// What was said of a whole session counts for each of its traces.
Result<bool> TraceMatch::session(Compiled& compiled, const std::string& session) {
  if (const auto known = compiled.sessions.find(session); known != compiled.sessions.end()) return known->second;
  bool found = false;
  for (const auto& experiment : experiments_) {
    const auto prefix = trace_index::of_session(experiment, session);
    std::vector<std::string> ids;
    const auto scanned =
        kv_->scan_back(Family::trace_index, prefix, after_prefix(prefix), [&](std::string_view key, std::string_view) {
          ids.emplace_back(key.substr(prefix.size() + 8));
          return ids.size() < session_traces_max;
        });
    if (!scanned) return no_answer(scanned.error());
    for (const auto& id : ids) {
      const auto all = store_->assessments_of(id);
      if (!all) return no_answer(all.error());
      for (const auto& one : *all) found |= matches(compiled.clause, compiled.text, one, true);
    }
  }
  return compiled.sessions[session] = found;
}

// One span must match all clauses about spans.
Result<bool> TraceMatch::spans(const std::string& trace_id) const {
  const auto prefix = store_keys::span(trace_id, "");
  bool found = false;
  const auto scanned =
      kv_->scan(Family::traces, prefix, after_prefix(prefix), [&](std::string_view, std::string_view bytes) {
        const auto span = SpanRow::decode(bytes);
        boost::system::error_code ec;
        const auto parsed = span ? parse_stored_json(span->json, ec) : json::value();
        if (ec || !parsed.is_object()) return true;
        const auto text_at = [&](const char* pointer) {
          boost::system::error_code none;
          const auto* at = parsed.find_pointer(pointer, none);
          return at && at->is_string() ? std::string(at->get_string().c_str()) : std::string();
        };
        found = std::all_of(clauses_.begin(), clauses_.end(), [&](const Compiled& compiled) {
          const auto& key = compiled.clause.key;
          if (compiled.clause.kind != "span") return true;
          if (key == "name") return compiled.text(text_at("/name"));
          if (key == "type") {
            const auto type = text_at("/attributes/mlflow.spanType");  // JSON in a string
            return !type.empty() &&
                   compiled.text(without_quotes(type));  // one that has none is unlike nothing, as NULL
          }
          if (key == "status") {
            const auto code = text_at("/status/code");
            return compiled.text(code == "STATUS_CODE_OK" ? "OK" : code == "STATUS_CODE_ERROR" ? "ERROR" : "UNSET");
          }
          return compiled.text(span->json);
        });
        return !found;
      });
  if (!scanned) return no_answer(scanned.error());
  return found;
}

}  // namespace assay::filter
