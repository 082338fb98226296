#include "storage/sinks/mlflow_columns.hpp"

#include <simdjson.h>

#include <algorithm>
#include <cmath>

#include "storage/records/python_text.hpp"
#include "storage/sinks/mlflow_json.hpp"

namespace assay::mlflow {
namespace {

namespace dom = simdjson::dom;
constexpr std::size_t id_max = 50, name_max = 250, preview_max = 1000, value_max = 8000;

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}
std::string cut(std::string_view text, std::size_t characters_max) {
  std::size_t n = 0;
  for (std::size_t at = 0; at < text.size(); ++at)
    if ((static_cast<unsigned char>(text[at]) & 0xc0) != 0x80 && n++ == characters_max)
      return std::string(text.substr(0, at));
  return std::string(text);
}
bool is_text(std::string_view text) { return text.find('\0') == text.npos; }

Text text_at(dom::element object, std::string_view pointer) {
  std::string_view text;
  if (object.at_pointer(pointer).get_string().get(text)) return {};
  return std::string(text);
}
Text not_empty(Text text) { return text && !text->empty() ? std::move(text) : Text(); }
std::optional<double> number_in(dom::object object, std::string_view key) {
  dom::element value;
  double number = 0;
  if (object[key].get(value) || value.is_bool() || value.get_double().get(number) || !std::isfinite(number)) return {};
  return number;
}

std::optional<dom::element> parsed(dom::parser& parser, std::string_view json) {
  dom::element root;
  if (parser.parse(json.data(), json.size()).get(root)) return {};
  return root;
}
// An attribute of a span is a string that holds JSON; where that is a string, its text.
Text decoded(const Text& attribute) {
  if (!attribute) return {};
  dom::parser parser;
  std::string_view text;
  if (parser.parse(*attribute).get_string().get(text)) return {};
  return std::string(text);
}

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
  for (const auto* key : {"error_code", "error_message", "stack_trace"}) {
    const auto text = not_empty(text_at(error, std::string("/") + key));
    append_python_string(out += out.size() > 1 ? ", " : "", key);
    out += ": ";
    if (text)
      append_python_string(out, *text);
    else
      out += "null";
  }
  row.error = out + "}";
}

void set_expectation(AssessmentColumns& row, dom::element expectation) {
  dom::element value;
  row.type = "expectation";
  if (const auto text = text_at(expectation, "/serialized_value/value")) {
    dom::parser parser;
    if (const auto inner = parsed(parser, *text)) return set_value(row, *inner, {});
  }
  if (!expectation.at_pointer("/value").get(value)) return set_value(row, value, {.doubles = true});
  row.value = "null";
}

std::optional<std::map<std::string, std::string>> strings_of(dom::element object) {
  std::map<std::string, std::string> out;
  dom::object members;
  if (object.get_object().get(members)) return {};
  for (const auto [key, member] : members) {
    std::string_view text;
    if (member.is_null()) continue;
    std::string value;
    if (!member.get_string().get(text))
      value = text;
    else
      append_python_json(value, member);
    out[std::string(key)] = std::move(value);
  }
  return out;
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

std::int64_t ms_of(const Text& time, Instant otherwise) {
  const auto at = time ? parse_time(*time) : std::nullopt;
  return at.value_or(otherwise).time_since_epoch().count();
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

// "0.048s"
std::optional<std::int64_t> duration_ms(const Text& text) {
  if (!text || !text->ends_with('s')) return {};
  char* end = nullptr;
  const double seconds = std::strtod(text->c_str(), &end);
  if (end != text->c_str() + text->size() - 1 || !std::isfinite(seconds)) return {};
  return std::llround(seconds * 1000);
}

std::string hex_id(std::string_view text) {
  const bool hex = text.size() == 16 && text.find_first_not_of("0123456789abcdef") == text.npos;
  if (hex) return std::string(text);
  static constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  unsigned bits = 0;
  int held = 0;
  for (const char c : text) {
    const auto at = alphabet.find(c == '-' ? '+' : c == '_' ? '/' : c);
    if (at == alphabet.npos) break;
    bits = bits << 6 | static_cast<unsigned>(at);
    if ((held += 6) < 8) continue;
    held -= 8;
    const auto byte = (bits >> held) & 0xff;
    out += digits[byte >> 4];
    out += digits[byte & 15];
  }
  return out;
}

std::optional<std::int64_t> nanoseconds(dom::element span, std::string_view pointer) {
  dom::element value;
  std::int64_t n = 0;
  std::string_view text;
  if (span.at_pointer(pointer).get(value)) return {};
  if (!value.get_int64().get(n)) return n;
  if (!value.get_string().get(text) && !text.empty() && text.find_first_not_of("0123456789") == text.npos)
    return std::strtoll(std::string(text).c_str(), nullptr, 10);
  return {};
}

template <class Visit>
void each_json_number(const Text& json, Visit visit) {
  dom::parser parser;
  dom::object object;
  if (json && !parser.parse(*json).get_object().get(object)) visit(object);
}

}  // namespace

Result<AssessmentColumns, Malformed> assessment_columns(std::string_view json, std::string_view trace_id,
                                                        Instant accepted_at) {
  thread_local dom::parser parser;
  const auto root = parsed(parser, json);
  if (!root || !root->is_object()) return Malformed{"assessment is not valid JSON"};
  AssessmentColumns row;
  row.trace_id = trace_id;
  row.assessment_id = text_at(*root, "/assessment_id").value_or("");
  row.name = text_at(*root, "/assessment_name").value_or("");
  row.created_ms = ms_of(text_at(*root, "/create_time"), accepted_at);
  row.updated_ms = ms_of(text_at(*root, "/last_update_time"), accepted_at);
  row.source_type = text_at(*root, "/source/source_type").value_or("SOURCE_TYPE_UNSPECIFIED");
  row.source_id = not_empty(text_at(*root, "/source/source_id"));
  row.span_id = not_empty(text_at(*root, "/span_id"));
  row.rationale = not_empty(text_at(*root, "/rationale"));
  row.overrides = not_empty(text_at(*root, "/overrides"));
  bool valid = true;
  if (!root->at_pointer("/valid").get_bool().get(valid)) row.valid = valid;
  dom::element metadata;
  if (!root->at_pointer("/metadata").get(metadata))
    if (const auto strings = strings_of(metadata)) row.metadata = metadata_text(*strings);
  dom::element said;
  if (!root->at_pointer("/feedback").get(said) && said.is_object()) {
    set_feedback(row, said);
  } else if (!root->at_pointer("/expectation").get(said) && said.is_object()) {
    set_expectation(row, said);
    row.rationale.reset();  // MLflow keeps none of an expectation
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
    set_expectation(row, *value);
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

Result<SpanColumns, Malformed> span_columns(std::string_view json) {
  dom::parser parser;
  const auto span = parsed(parser, json);
  if (!span || !span->is_object()) return Malformed{"a span is not valid JSON"};
  SpanColumns row;
  row.span_id = hex_id(text_at(*span, "/span_id").value_or(""));
  if (row.span_id.empty() || row.span_id.size() > id_max) return Malformed{"a span has no span_id"};
  if (const auto parent = not_empty(text_at(*span, "/parent_span_id"))) row.parent_span_id = hex_id(*parent);
  row.name = text_at(*span, "/name").value_or("");
  if (!is_text(row.name)) return Malformed{"a span's name holds a NUL"};
  row.status = text_at(*span, "/status/code").value_or("UNSET");
  if (row.status.starts_with("STATUS_CODE_")) row.status.erase(0, 12);
  row.start_ns = nanoseconds(*span, "/start_time_unix_nano").value_or(0);
  row.end_ns = nanoseconds(*span, "/end_time_unix_nano");
  append_python_json(row.content, *span, {.ascii = false});
  dom::element attributes;
  if (span->at_pointer("/attributes").get(attributes) || !attributes.is_object()) return row;
  const auto attribute = [&](std::string_view name) -> Text {
    std::string_view text;
    dom::object object = attributes.get_object().value_unsafe();
    if (object[name].get_string().get(text)) return {};
    return std::string(text);
  };
  const auto dimension = [&](std::string_view name) -> Text {
    auto text = decoded(attribute(name));
    if (!text || !is_text(*text)) return {};
    return cut(*text, 500);
  };
  row.type = dimension("mlflow.spanType");
  row.model = dimension("mlflow.llm.model");
  row.provider = dimension("mlflow.llm.provider");
  row.usage = {row.span_id, row.parent_span_id.value_or(""),
               usage_text(attribute("mlflow.chat.tokenUsage").value_or("")),
               usage_text(attribute("mlflow.llm.cost").value_or(""))};
  each_json_number(row.usage.cost, [&](dom::object costs) {
    for (std::size_t i = 0; i < 3; ++i) row.costs[i] = number_in(costs, cost_columns[i]);
  });
  return row;
}

std::vector<std::string> removed_tags(std::string_view info) {
  std::vector<std::string> out;
  dom::parser parser;
  dom::object tags;
  const auto root = parsed(parser, info);
  if (!root || root->at_pointer("/tags").get_object().get(tags)) return out;
  for (const auto [key, value] : tags)
    if (value.is_null()) out.emplace_back(key);
  return out;
}

Result<TraceColumns, Malformed> trace_columns(std::string_view info, const std::vector<SpanColumns>& spans,
                                              Instant accepted_at) {
  dom::parser parser;
  const auto root = parsed(parser, info);
  if (!root || !root->is_object()) return Malformed{"trace_info is not valid JSON"};
  TraceColumns row;
  row.trace_id = text_at(*root, "/trace_id").value_or("");
  if (row.trace_id.empty() || characters(row.trace_id) > id_max)
    return Malformed{"trace_id is empty or longer than the 50 characters that MLflow's table takes"};
  dom::element location;
  row.located = is_located(!root->at_pointer("/trace_location").get(location) && location.is_object(),
                           text_at(*root, "/state").value_or(""));
  row.experiment = text_at(*root, "/trace_metadata/assay.experiment").value_or("");
  if (row.experiment.empty())
    row.experiment = text_at(*root, "/trace_location/mlflow_experiment/experiment_id").value_or("");

  const SpanColumns* top = nullptr;  // the root span
  std::optional<std::int64_t> first_ns, last_ns;
  for (const auto& span : spans) {
    if (!span.parent_span_id && !top) top = &span;
    if (!first_ns || span.start_ns < *first_ns) first_ns = span.start_ns;
    if (span.end_ns && (!last_ns || *span.end_ns > *last_ns)) last_ns = span.end_ns;
  }
  const auto request_time = text_at(*root, "/request_time");
  row.timestamp_ms = request_time || !first_ns ? ms_of(request_time, accepted_at) : *first_ns / 1'000'000;
  row.duration_ms = duration_ms(text_at(*root, "/execution_duration"));
  if (!row.duration_ms && first_ns && last_ns && !request_time) row.duration_ms = (*last_ns - *first_ns) / 1'000'000;
  row.status = text_at(*root, "/state").value_or("");
  if (row.status.empty()) row.status = !top ? "IN_PROGRESS" : top->status == "ERROR" ? "ERROR" : "OK";
  const auto short_text = [&](const char* pointer) -> Text {
    auto text = text_at(*root, pointer);
    if (!text || !is_text(*text)) return {};
    return cut(*text, preview_max);
  };
  row.request_preview = short_text("/request_preview");
  row.response_preview = short_text("/response_preview");

  dom::element entries;
  if (!root->at_pointer("/tags").get(entries))
    if (auto strings = strings_of(entries)) row.tags = std::move(*strings);
  if (!root->at_pointer("/trace_metadata").get(entries))
    if (auto strings = strings_of(entries)) row.metadata = std::move(*strings);
  if (auto id = not_empty(text_at(*root, "/client_request_id"))) {
    if (!is_text(*id)) return Malformed{"client_request_id holds a NUL"};
    if (characters(*id) > client_request_id_max)
      row.metadata[std::string(long_request_id)] = std::move(*id);
    else
      row.client_request_id = std::move(*id);
  }
  if (auto name = row.tags.extract("mlflow.traceName")) row.name = cut(name.mapped(), 4096);
  if (auto session = row.metadata.extract("mlflow.trace.session")) row.session = cut(session.mapped(), 250);
  row.tags.erase("assay.feedback");              // ours: what was said, not what the client says was
  row.tags.erase("mlflow.trace.spansLocation");  // where they are is known here
  row.tags.erase("mlflow.artifactLocation");
  row.metadata.try_emplace("mlflow.trace_schema.version", "3");
  const auto usage = row.metadata.extract("mlflow.trace.tokenUsage");
  each_json_number(usage ? Text(usage.mapped()) : Text(), [&](dom::object tokens) {
    for (std::size_t i = 0; i < 6; ++i)
      if (const auto n = number_in(tokens, token_columns[i]); n && *n == std::floor(*n) && std::abs(*n) < 9e18)
        row.tokens[i] = static_cast<std::int64_t>(*n);
  });
  const auto cost = row.metadata.extract("mlflow.trace.cost");
  each_json_number(cost ? Text(cost.mapped()) : Text(), [&](dom::object costs) {
    for (std::size_t i = 0; i < 3; ++i) row.costs[i] = number_in(costs, cost_columns[i]);
  });
  for (auto* group : {&row.tags, &row.metadata}) {
    std::erase_if(*group,
                  [](const auto& entry) { return !is_text(entry.first) || characters(entry.first) > name_max; });
    for (auto& [key, value] : *group) {
      std::erase(value, '\0');
      if (value.size() > value_max) value = cut(value, value_max);
    }
  }
  return row;
}

}  // namespace assay::mlflow
