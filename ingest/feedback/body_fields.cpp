#include "ingest/feedback/body_fields.hpp"

#include <algorithm>

#include "ingest/http/body_limits.hpp"

namespace assay {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t fields_max = 32;  // more than any form has

void write_json(JsonWriter& json, dom::element value) {
  switch (value.type()) {
    case dom::element_type::OBJECT:
      json.begin_object();
      for (const auto field : dom::object(value)) {
        json.key(field.key);
        write_json(json, field.value);
      }
      json.end_object();
      return;
    case dom::element_type::ARRAY:
      json.begin_array();
      for (const auto element : dom::array(value)) write_json(json, element);
      json.end_array();
      return;
    case dom::element_type::STRING:
      json.value(std::string_view(value));
      return;
    case dom::element_type::BOOL:
      json.value(bool(value));
      return;
    case dom::element_type::INT64:
      json.value(std::int64_t(value));
      return;
    case dom::element_type::UINT64:
      json.value(std::uint64_t(value));
      return;
    case dom::element_type::DOUBLE:
      json.value(double(value));
      return;
    case dom::element_type::NULL_VALUE:
      json.null();
      return;
  }
}

bool has_nul(std::string_view text) { return text.find('\0') != text.npos; }

bool has_nul(dom::element value) {
  if (value.is_string()) return has_nul(std::string_view(value));
  if (value.is_array()) {
    for (const auto element : dom::array(value))
      if (has_nul(element)) return true;
  } else if (value.is_object()) {
    for (const auto field : dom::object(value))
      if (has_nul(field.key) || has_nul(field.value)) return true;
  }
  return false;
}

// Readers differ on which of two counts: some key of an object that stands there twice, at any depth.
std::optional<std::string_view> repeated_key(dom::element value) {
  std::optional<std::string_view> found;
  if (value.is_array()) {
    for (const auto element : dom::array(value))
      if (!found) found = repeated_key(element);
  } else if (value.is_object()) {
    std::vector<std::string_view> keys;
    for (const auto field : dom::object(value)) {
      keys.push_back(field.key);
      if (!found) found = repeated_key(field.value);
    }
    std::ranges::sort(keys);
    if (const auto twice = std::ranges::adjacent_find(keys); twice != keys.end()) found = *twice;
  }
  return found;
}

std::string printable(std::string_view name) {
  std::string out(name.substr(0, 64));
  while (!simdjson::validate_utf8(out)) out.pop_back();
  return out;
}

Result<std::optional<std::string_view>, Rejection> text_in(dom::element value, std::string_view name,
                                                           std::size_t bytes_max, std::string_view wanted) {
  std::string_view text;
  if (value.get_string().get(text)) return unprocessable(name, "it is not " + std::string(wanted));
  if (auto problem = problem_with_text(name, text, bytes_max)) return std::move(*problem);
  return std::optional(text);
}

}  // namespace

Result<BodyFields, Rejection> BodyFields::of(dom::element element) {
  dom::object object;
  if (element.get_object().get(object)) return Rejection{422, "body", "it is not an object"};
  BodyFields out;
  for (const auto field : object) {
    if (out.fields_.size() == fields_max) break;
    for (const auto& [known, value] : out.fields_)
      if (known == field.key) return unprocessable(printable(field.key), "it is given twice");
    out.fields_.emplace_back(field.key, field.value);
  }
  return out;
}

std::optional<dom::element> BodyFields::take(std::string_view name) {
  const auto at = std::ranges::find(fields_, name, [](const auto& field) { return field.first; });
  if (at == fields_.end()) return {};
  const auto value = at->second;
  fields_.erase(at);
  return value;
}

Result<std::optional<std::string_view>, Rejection> BodyFields::take_text(std::string_view name, std::size_t bytes_max) {
  const auto value = take(name);
  if (!value) return std::optional<std::string_view>();
  return text_in(*value, name, bytes_max, "a string");
}

Result<std::optional<std::string_view>, Rejection> BodyFields::take_text_or_null(std::string_view name,
                                                                                 std::size_t bytes_max) {
  const auto value = take(name);
  if (!value || value->is_null()) return std::optional<std::string_view>();
  return text_in(*value, name, bytes_max, "a string or null");
}

std::optional<Rejection> BodyFields::left_over() const {
  if (fields_.empty()) return {};
  return unprocessable(printable(fields_.front().first), "there is no such field");
}

Rejection unprocessable(std::string_view field, std::string reason) {
  return {422, std::string(field), std::move(reason)};
}

// PostgreSQL takes no NUL, and MLflow's own door neither.
std::optional<Rejection> problem_with_text(std::string_view field, std::string_view text, std::size_t bytes_max) {
  if (text.size() > bytes_max) return unprocessable(field, "it is longer than " + std::to_string(bytes_max) + " bytes");
  if (has_nul(text)) return unprocessable(field, "it has U+0000");
  return {};
}

std::optional<Rejection> write_feedback_value(JsonWriter& json, dom::element value) {
  if (value.is_null()) return unprocessable("value", "it is null");
  if (value.is_string())
    if (auto problem = problem_with_text("value", std::string_view(value), BodyLimits::text_bytes)) return problem;
  if (has_nul(value)) return unprocessable("value", "it has U+0000");
  if (const auto key = repeated_key(value))
    return unprocessable("value", "the key \"" + printable(*key) + "\" is given twice in one object");
  json.key("feedback").begin_object().key("value");
  write_json(json, value);
  json.end_object();
  return {};
}

std::optional<Rejection> write_is_correct(JsonWriter& json, dom::element is_correct) {
  bool correct = false;
  if (is_correct.get_bool().get(correct)) return unprocessable("is_correct", "it is not a boolean");
  json.key("feedback").begin_object().field("value", correct).end_object();
  return {};
}

std::optional<Rejection> write_metadata(JsonWriter& json, BodyFields& fields) {
  const auto value = fields.take("metadata");
  if (!value || value->is_null()) return {};
  dom::object object;
  if (value->get_object().get(object)) return unprocessable("metadata", "it is not an object");
  if (object.size() > BodyLimits::metadata_entries)
    return unprocessable("metadata", "it has more than " + std::to_string(BodyLimits::metadata_entries) + " entries");
  if (const auto key = repeated_key(*value))
    return unprocessable("metadata", "the key \"" + printable(*key) + "\" is given twice");
  json.key("metadata").begin_object();
  for (const auto entry : object) {
    std::string_view text;
    if (entry.key.empty() || problem_with_text("metadata", entry.key, BodyLimits::name_bytes))
      return unprocessable("metadata", "a key in it is empty, too long, or has U+0000");
    const auto which = "the value of \"" + std::string(entry.key) + "\" ";
    if (entry.value.get_string().get(text)) return unprocessable("metadata", which + "is not a string");
    if (const auto problem = problem_with_text("metadata", text, BodyLimits::text_bytes))
      return unprocessable("metadata", which + problem->reason.substr(std::string_view("it ").size()));
    json.field(entry.key, text);
  }
  json.end_object();
  return {};
}

std::string members_of(const std::string& object) { return object.substr(1, object.size() - 2); }

}  // namespace assay
