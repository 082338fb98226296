#include "ingest/mlflow/assessment_value.hpp"

#include <optional>
#include <string>

#include "ingest/mlflow/message_fields.hpp"
#include "storage/records/exact_json.hpp"
#include "storage/records/python_numbers.hpp"
#include "storage/records/python_text.hpp"
#include "storage/records/value_messages.hpp"

namespace assay {
namespace {

namespace json = boost::json;

Rejection invalid(const std::string& field, const std::string& reason) { return {400, field, reason}; }
Rejection no_value() { return invalid("", "The `value` field must be specified."); }

// MLflow's client reads an answer to a depth of 100 messages, those around the value among them.
std::optional<Rejection> problem_with_depth(std::string_view kind, const json::value& value) {
  if (messages_of(value) <= 95) return {};
  return invalid(std::string(kind) + ".value", "it is nested deeper than 31 objects or 47 lists");
}

Result<json::object, Rejection> message_in(const std::string& path, const json::value& sent) {
  if (const auto* message = sent.if_object()) return fields_of(*message);
  return invalid(path, "it is not an object");
}

Result<std::string, Rejection> text_in(const std::string& path, const json::object& from, std::string_view name) {
  const auto* value = from.if_contains(name);
  if (!value) return std::string();
  if (const auto* text = value->if_string()) return std::string(text->data(), text->size());
  return invalid(path + "." + std::string(name), "it is not a string");
}

Result<json::object, Rejection> read_error(const json::value& sent) {
  const std::string path = "feedback.error";
  const auto from = message_in(path, sent);
  if (!from) return from.error();
  json::object out;
  for (const std::string_view name : {"error_code", "error_message", "stack_trace"}) {
    const auto text = text_in(path, *from, name);
    if (!text) return text.error();
    if (!text->empty() || name == "error_code") out[name] = *text;
  }
  return out;
}

Result<json::object, Rejection> read_serialized(const json::value& sent) {
  const std::string path = "expectation.serialized_value";
  const auto from = message_in(path, sent);
  if (!from) return from.error();
  const auto format = text_in(path, *from, "serialization_format"), value = text_in(path, *from, "value");
  if (!format) return format.error();
  if (!value) return value.error();
  if (*format != "JSON_FORMAT")
    return invalid("", "Unknown serialization format: " + *format + ". Only JSON_FORMAT is supported.");
  json::parse_options options;
  options.max_depth = message_depth_max;
  error_code ec;
  const auto parsed = parse_python_json(*value, ec, options);
  if (ec) return invalid(path + ".value", "it is not JSON");
  if (parsed.is_null()) return no_value();
  return json::object{{"serialization_format", *format}, {"value", *value}};
}

}  // namespace

Result<json::object, Rejection> read_assessment_value(std::string_view kind, const json::value& sent) {
  const auto from = message_in(std::string(kind), sent);
  if (!from) return from.error();
  const auto* value = from->if_contains("value");
  if (value)
    if (auto problem = problem_with_depth(kind, *value)) return std::move(*problem);
  json::object out;
  if (kind == "feedback") {
    out["value"] = value ? *value : json::value();
    const auto* error = from->if_contains("error");
    if (!error) return out;
    auto read = read_error(*error);
    if (!read) return read.error();
    out["error"] = std::move(*read);
  } else if (const auto* serialized = from->if_contains("serialized_value")) {
    auto read = read_serialized(*serialized);
    if (!read) return read.error();
    out["serialized_value"] = std::move(*read);
  } else if (!value) {
    return no_value();
  } else if (value->is_object() || value->is_array()) {  // MLflow's server keeps it as its client sends it
    const auto text = python_json(*value, {.doubles = true});
    out["serialized_value"] = json::object{{"serialization_format", "JSON_FORMAT"}, {"value", text}};
  } else {
    out["value"] = *value;
  }
  return out;
}

}  // namespace assay
