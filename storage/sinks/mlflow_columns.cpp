// Traces and spans.
#include "storage/sinks/mlflow_columns.hpp"

#include <algorithm>
#include <cmath>

#include "ops/runtime/base64.hpp"
#include "ops/runtime/hex.hpp"
#include "storage/records/python_text.hpp"
#include "storage/records/trace_record.hpp"
#include "storage/sinks/mlflow_json.hpp"
#include "storage/sinks/mlflow_json_text.hpp"
#include "storage/store/feedback_tag.hpp"

namespace assay::mlflow {
namespace {

constexpr std::size_t preview_max = 1000, value_max = 8000;
constexpr std::string_view name_key = "mlflow.traceName", session_key = "mlflow.trace.session";

using Entries = std::map<std::string, std::string>;

std::optional<double> number_in(dom::object object, std::string_view key) {
  dom::element value;
  double number = 0;
  if (object[key].get(value) || value.is_bool() || value.get_double().get(number) || !std::isfinite(number)) return {};
  return number;
}

// An attribute of a span is a string that holds JSON; where that is a string, its text.
Text decoded(const Text& attribute) {
  if (!attribute) return {};
  dom::parser parser;
  std::string_view text;
  if (parser.parse(*attribute).get_string().get(text)) return {};
  return std::string(text);
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
void with_object(std::string_view json, Visit visit) {
  dom::parser parser;
  dom::object object;
  if (!parser.parse(json.data(), json.size()).get_object().get(object)) visit(object);
}

void read_costs(std::string_view json, std::optional<double> (&costs)[3]) {
  with_object(json, [&](dom::object object) {
    for (std::size_t i = 0; i < 3; ++i) costs[i] = number_in(object, cost_columns[i]);
  });
}

void read_tokens(std::string_view json, std::optional<std::int64_t> (&tokens)[6]) {
  with_object(json, [&](dom::object object) {
    for (std::size_t i = 0; i < 6; ++i)
      if (const auto n = number_in(object, token_columns[i]); n && *n == std::floor(*n) && std::abs(*n) < 9e18)
        tokens[i] = static_cast<std::int64_t>(*n);
  });
}

void read_place(dom::element root, TraceColumns& row) {
  dom::element location;
  row.located = is_located(!root.at_pointer("/trace_location").get(location) && location.is_object(),
                           text_in(root, "/state").value_or(""));
  if (auto name = not_empty(text_in(root, "/trace_metadata/" + std::string(experiment_name_key))))
    row.experiment = {std::move(*name), true};
  else
    row.experiment.text = text_in(root, "/trace_location/mlflow_experiment/experiment_id").value_or("");
}

// What it does not say itself is that of its spans.
void read_times(dom::element root, const std::vector<SpanColumns>& spans, Instant accepted_at, TraceColumns& row) {
  const SpanColumns* top = nullptr;  // the root span
  std::optional<std::int64_t> first_ns, last_ns;
  for (const auto& span : spans) {
    if (!span.parent_span_id && !top) top = &span;
    if (!first_ns || span.start_ns < *first_ns) first_ns = span.start_ns;
    if (span.end_ns && (!last_ns || *span.end_ns > *last_ns)) last_ns = span.end_ns;
  }
  const auto request_time = text_in(root, "/request_time");
  row.timestamp_ms = request_time || !first_ns ? ms_of(request_time, accepted_at) : *first_ns / 1'000'000;
  row.duration_ms = duration_ms(text_in(root, "/execution_duration"));
  if (!row.duration_ms && first_ns && last_ns && !request_time) row.duration_ms = (*last_ns - *first_ns) / 1'000'000;
  row.status = text_in(root, "/state").value_or("");
  if (row.status.empty()) row.status = !top ? "IN_PROGRESS" : top->status == "ERROR" ? "ERROR" : "OK";
}

Text preview_in(dom::element root, std::string_view pointer) {
  const auto text = text_in(root, pointer);
  return text ? fitted_preview(*text) : Text();
}

Entries entries_in(dom::element root, std::string_view pointer) {
  dom::element entries;
  if (root.at_pointer(pointer).get(entries)) return {};
  return strings_of(entries).value_or(Entries());
}

// One that is too long for its column stands in the metadata.
std::optional<Malformed> read_request_id(dom::element root, TraceColumns& row) {
  auto id = not_empty(text_in(root, "/client_request_id"));
  if (!id) return {};
  if (!is_text(*id)) return Malformed{"client_request_id holds a NUL"};
  if (characters(*id) > client_request_id_max)
    row.metadata[std::string(long_request_id)] = std::move(*id);
  else
    row.client_request_id = std::move(*id);
  return {};
}

// Of the tags and metadata what has columns of its own, or is not the client's to say.
void promote(TraceColumns& row) {
  if (auto name = row.tags.extract(std::string(name_key))) row.name = fitted(name_key, std::move(name.mapped()));
  if (auto session = row.metadata.extract(std::string(session_key)))
    row.session = fitted(session_key, std::move(session.mapped()));
  row.tags.erase(std::string(feedback_tag_name));  // ours: what was said, not what the client says was
  row.tags.erase("mlflow.trace.spansLocation");    // where they are is known here
  row.tags.erase("mlflow.artifactLocation");
  row.metadata.try_emplace("mlflow.trace_schema.version", "3");
  if (const auto usage = row.metadata.extract("mlflow.trace.tokenUsage")) read_tokens(usage.mapped(), row.tokens);
  if (const auto cost = row.metadata.extract("mlflow.trace.cost")) read_costs(cost.mapped(), row.costs);
}

// Into their table.
void fit(Entries& entries) {
  for (auto at = entries.begin(); at != entries.end();) {
    auto value = fitted(at->first, std::move(at->second));
    if (!value) {
      at = entries.erase(at);
      continue;
    }
    at->second = std::move(*value);
    ++at;
  }
}

}  // namespace

Text fitted(std::string_view key, std::string value) {
  if (!is_text(key) || characters(key) > name_max) return {};
  std::erase(value, '\0');
  const auto most = key == name_key ? 4096 : key == session_key ? 250 : value_max;
  return value.size() > most ? cut(value, most) : std::move(value);
}

Text fitted_preview(std::string_view text) {
  if (!is_text(text)) return {};
  return cut(text, preview_max);
}

std::optional<std::int64_t> duration_ms(const Text& text) {
  if (!text || !text->ends_with('s')) return {};
  char* end = nullptr;
  const double seconds = std::strtod(text->c_str(), &end);
  if (end != text->c_str() + text->size() - 1 || !std::isfinite(seconds)) return {};
  return std::llround(seconds * 1000);
}

std::string hex_id(std::string_view text) {
  const bool is_hex = text.size() == 16 && text.find_first_not_of("0123456789abcdef") == text.npos;
  if (is_hex) return std::string(text);
  static constexpr auto alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string plain(text);
  std::ranges::replace(plain, '-', '+');
  std::ranges::replace(plain, '_', '/');
  plain.resize(std::min(plain.find_first_not_of(alphabet), plain.size()));
  if (plain.size() % 4 == 1) plain.pop_back();  // not one byte
  return to_hex(from_base64(plain + "==").value_or(""));
}

Result<SpanColumns, Malformed> span_columns(std::string_view json) {
  dom::parser parser;
  const auto span = parsed(parser, json);
  if (!span || !span->is_object()) return Malformed{"a span is not valid JSON"};
  SpanColumns row;
  row.span_id = hex_id(text_in(*span, "/span_id").value_or(""));
  if (row.span_id.empty() || row.span_id.size() > id_max) return Malformed{"a span has no span_id"};
  if (const auto parent = not_empty(text_in(*span, "/parent_span_id"))) row.parent_span_id = hex_id(*parent);
  row.name = text_in(*span, "/name").value_or("");
  std::erase(row.name, '\0');
  row.status = text_in(*span, "/status/code").value_or("UNSET");
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
  read_costs(row.usage.cost, row.costs);
  return row;
}

std::vector<std::string> removed_tags(std::string_view info) {
  std::vector<std::string> out;
  dom::parser parser;
  dom::object tags;
  const auto root = parsed(parser, info);
  if (!root || root->at_pointer("/tags").get_object().get(tags)) return out;
  for (const auto [key, value] : tags)
    if (value.is_null() && key != feedback_tag_name) out.emplace_back(key);
  return out;
}

Result<TraceColumns, Malformed> trace_columns(std::string_view info, const std::vector<SpanColumns>& spans,
                                              Instant accepted_at) {
  dom::parser parser;
  const auto root = parsed(parser, info);
  if (!root || !root->is_object()) return Malformed{"trace_info is not valid JSON"};
  TraceColumns row;
  row.trace_id = text_in(*root, "/trace_id").value_or("");
  if (row.trace_id.empty() || characters(row.trace_id) > id_max)
    return Malformed{"trace_id is empty or longer than the 50 characters that MLflow's table takes"};
  read_place(*root, row);
  read_times(*root, spans, accepted_at, row);
  row.request_preview = preview_in(*root, "/request_preview");
  row.response_preview = preview_in(*root, "/response_preview");
  row.tags = entries_in(*root, "/tags");
  row.metadata = entries_in(*root, "/trace_metadata");
  if (const auto problem = read_request_id(*root, row)) return *problem;
  promote(row);
  fit(row.tags);
  fit(row.metadata);
  return row;
}

}  // namespace assay::mlflow
