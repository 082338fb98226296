#include "ingest/feedback/assessment_body.hpp"

#include "ingest/feedback/body_fields.hpp"
#include "ingest/http/body_limits.hpp"
#include "ingest/http/given_ids.hpp"
#include "ingest/http/json_body.hpp"

namespace assay {
namespace {

std::optional<Rejection> write_rationale(JsonWriter& json, BodyFields& fields, std::string_view name) {
  const auto text = fields.take_text_or_null(name, BodyLimits::text_bytes);
  if (!text) return text.error();
  if (*text) json.field("rationale", **text);
  return {};
}

std::optional<Rejection> read_guide_form(simdjson::dom::element is_correct, BodyFields& fields, AssessmentBody& body,
                                         JsonWriter& json) {
  body.name = "user_feedback";
  if (auto problem = write_is_correct(json, is_correct)) return problem;
  return write_rationale(json, fields, "comment");
}

std::optional<Rejection> read_name(BodyFields& fields, AssessmentBody& body) {
  const auto name = fields.take_text("name", BodyLimits::name_bytes);
  if (!name) return name.error();
  if (!*name) return unprocessable("is_correct", "it is missing (or name and value)");
  if ((*name)->empty() || has_control_character(**name))
    return unprocessable("name", "it is empty or has control characters");
  body.name = **name;
  return {};
}

std::optional<Rejection> write_span_id(JsonWriter& json, BodyFields& fields) {
  const auto id = fields.take_text_or_null("span_id", BodyLimits::span_id_bytes);
  if (!id) return id.error();
  if (!*id) return {};
  if (auto problem = problem_with_id("span_id", **id)) return problem;
  json.field("span_id", **id);
  return {};
}

std::optional<Rejection> read_source(BodyFields& fields, AssessmentBody& body) {
  const auto source = fields.take("source");
  if (!source || source->is_null()) return {};
  if (!source->is_object()) return unprocessable("source", "it is not an object");
  auto parts = BodyFields::of(*source);
  if (!parts) return unprocessable("source." + parts.error().field, parts.error().reason);
  const auto type = parts->take_text("type", 32);
  if (!type) return unprocessable("source.type", type.error().reason);
  if (!*type) return unprocessable("source.type", "it is missing");
  if (**type != "HUMAN" && **type != "LLM_JUDGE" && **type != "CODE")
    return unprocessable("source.type", "it is not HUMAN, LLM_JUDGE or CODE");
  body.source_type = **type;
  const auto id = parts->take_text_or_null("id", BodyLimits::id_bytes);
  if (!id) return unprocessable("source.id", id.error().reason);
  if (*id) {
    if (const auto problem = problem_with_id("source.id", **id)) return unprocessable("source.id", problem->reason);
    body.source_id = **id;
  }
  if (const auto more = parts->left_over()) return unprocessable("source." + more->field, more->reason);
  return {};
}

std::optional<Rejection> read_general_form(BodyFields& fields, AssessmentBody& body, JsonWriter& json) {
  if (auto problem = read_name(fields, body)) return problem;
  const auto value = fields.take("value");
  if (!value) return unprocessable("value", "it is missing");
  if (auto problem = write_feedback_value(json, *value)) return problem;
  if (auto problem = write_rationale(json, fields, "rationale")) return problem;
  if (auto problem = write_metadata(json, fields)) return problem;
  if (auto problem = write_span_id(json, fields)) return problem;
  return read_source(fields, body);
}

std::optional<Rejection> read_target(BodyFields& fields, AssessmentBody& body) {
  for (const auto kind : {Target::Kind::trace_id, Target::Kind::client_request_id}) {
    Target target{kind, {}};
    const auto id = fields.take_text_or_null(target.field(), BodyLimits::id_bytes);
    if (!id) return id.error();
    if (!*id) continue;
    if (body.target)
      return unprocessable(target.field(), "trace_id and client_request_id are both given: one is enough");
    if (auto problem = problem_with_target_id(target.field(), **id)) return problem;
    target.id = **id;
    body.target = std::move(target);
  }
  if (!body.target) return unprocessable("client_request_id", "it is missing (or trace_id)");
  return {};
}

// What a request has in its query and its headers.
std::optional<Rejection> read_item_of_batch(BodyFields& fields, AssessmentBody& body) {
  if (auto problem = read_target(fields, body)) return problem;
  const auto key = fields.take_text_or_null("idempotency_key", BodyLimits::key_bytes);
  if (!key) return key.error();
  if (*key) {
    if (auto problem = problem_with_key("idempotency_key", **key)) return problem;
    body.idempotency_key = **key;
  }
  const auto user = fields.take_text_or_null("user_id", BodyLimits::id_bytes);
  if (!user) return user.error();
  if (*user) {
    if (auto problem = problem_with_id("user_id", **user)) return problem;
    body.user_id = **user;
  }
  return {};
}

}  // namespace

Result<AssessmentBody, Rejection> parse_assessment_body(std::string_view json, bool padded, BodyContext context) {
  const auto element = parse_json_body(json, padded);
  if (!element) return element.error();
  return parse_assessment_body(*element, context);
}

Result<AssessmentBody, Rejection> parse_assessment_body(simdjson::dom::element element, BodyContext context) {
  auto fields = BodyFields::of(element);
  if (!fields) return fields.error();
  AssessmentBody body;
  std::string said;
  JsonWriter json(said);
  json.begin_object();
  const auto is_correct = fields->take("is_correct");
  auto problem =
      is_correct ? read_guide_form(*is_correct, *fields, body, json) : read_general_form(*fields, body, json);
  if (!problem && context == BodyContext::batch) problem = read_item_of_batch(*fields, body);
  if (!problem) problem = fields->left_over();
  if (problem) return std::move(*problem);
  json.end_object();
  body.members = members_of(said);
  return body;
}

}  // namespace assay
