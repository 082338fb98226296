#include "ingest/feedback/changes_body.hpp"

#include "ingest/feedback/body_fields.hpp"
#include "ingest/http/body_limits.hpp"
#include "ingest/http/json_body.hpp"

namespace assay {
namespace {

std::optional<Rejection> change_value(BodyFields& fields, JsonWriter& json) {
  const auto is_correct = fields.take("is_correct"), value = fields.take("value");
  if (is_correct) {
    if (auto problem = write_is_correct(json, *is_correct)) return problem;
    if (value) return unprocessable("value", "is_correct says it already");
  } else if (value) {
    return write_feedback_value(json, *value);
  }
  return {};
}

std::optional<Rejection> change_rationale(BodyFields& fields, JsonWriter& json) {
  bool given = false;
  for (const std::string_view name : {"rationale", "comment"}) {
    const auto value = fields.take(name);
    if (!value) continue;
    if (given) return unprocessable(name, "rationale says it already");
    given = true;
    std::string_view text;
    if (value->is_null())
      json.key("rationale").null();
    else if (value->get_string().get(text))
      return unprocessable(name, "it is not a string or null");
    else if (auto problem = problem_with_text(name, text, BodyLimits::text_bytes))
      return problem;
    else
      json.field("rationale", text);
  }
  return {};
}

}  // namespace

Result<ChangesBody, Rejection> parse_changes_body(std::string_view text, bool padded) {
  const auto element = parse_json_body(text, padded);
  if (!element) return element.error();
  auto fields = BodyFields::of(*element);
  if (!fields) return fields.error();
  std::string changes;
  JsonWriter json(changes);
  json.begin_object();
  auto problem = change_value(*fields, json);
  if (!problem) problem = change_rationale(*fields, json);
  if (!problem) problem = write_metadata(json, *fields);
  if (!problem) problem = fields->left_over();
  if (problem) return std::move(*problem);
  json.end_object();
  if (changes == "{}") return unprocessable("value", "nothing to change is given: value, rationale or metadata");
  return ChangesBody{members_of(changes)};
}

}  // namespace assay
