#include "ingest/feedback/assessment_body.hpp"

#include <utility>
#include <vector>

#include "ingest/http/body_limits.hpp"
#include "ingest/http/given_ids.hpp"
#include "ingest/http/json_body.hpp"
#include "storage/records/json_writer.hpp"

namespace assay {
namespace {

namespace dom = simdjson::dom;

Rejection invalid(std::string_view field, std::string reason) { return {422, std::string(field), std::move(reason)}; }

void write_value(JsonWriter& json, dom::element value) {
  switch (value.type()) {
    case dom::element_type::OBJECT:
      json.begin_object();
      for (const auto field : dom::object(value)) {
        json.key(field.key);
        write_value(json, field.value);
      }
      json.end_object();
      return;
    case dom::element_type::ARRAY:
      json.begin_array();
      for (const auto element : dom::array(value)) write_value(json, element);
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

// PostgreSQL takes no NUL, and MLflow's own door neither.
std::optional<Rejection> problem_with_text(std::string_view field, std::string_view text, std::size_t bytes_max) {
  if (text.size() > bytes_max) return invalid(field, "it is longer than " + std::to_string(bytes_max) + " bytes");
  if (text.find('\0') != text.npos) return invalid(field, "it has U+0000");
  return {};
}

bool has_nul(dom::element value) {
  if (value.is_string()) return std::string_view(value).find('\0') != std::string_view::npos;
  if (value.is_array()) {
    for (const auto element : dom::array(value))
      if (has_nul(element)) return true;
  } else if (value.is_object()) {
    for (const auto field : dom::object(value))
      if (field.key.find('\0') != field.key.npos || has_nul(field.value)) return true;
  }
  return false;
}

// `"feedback":{"value":…}`.
std::optional<Rejection> write_feedback(JsonWriter& json, dom::element value) {
  if (value.is_null()) return invalid("value", "it is null");
  if (value.is_string())
    if (auto problem = problem_with_text("value", std::string_view(value), BodyLimits::text_bytes)) return problem;
  if (has_nul(value)) return invalid("value", "it has U+0000");
  json.key("feedback").begin_object().key("value");
  write_value(json, value);
  json.end_object();
  return {};
}

// More fields than any form has.
constexpr std::size_t fields_max = 32;

// The fields of one body, taken one by one; what is left over at the end is unknown. Of more than fields_max the rest
// is not looked at: some of the first ones are left over, and each is compared with all before it.
class Fields {
 public:
  static Result<Fields, Rejection> of(dom::element element) {
    dom::object object;
    if (element.get_object().get(object)) return Rejection{422, "body", "it is not an object"};
    Fields out;
    for (const auto field : object) {
      if (out.fields_.size() == fields_max) break;
      for (const auto& known : out.fields_)
        if (known.first == field.key) return invalid(printable(field.key), "it is given twice");
      out.fields_.emplace_back(field.key, field.value);
    }
    return out;
  }

  std::optional<dom::element> take(std::string_view name) {
    for (auto at = fields_.begin(); at != fields_.end(); ++at)
      if (at->first == name) {
        const auto value = at->second;
        fields_.erase(at);
        return value;
      }
    return {};
  }

  std::optional<Rejection> left_over() const {
    if (fields_.empty()) return {};
    return invalid(printable(fields_.front().first), "there is no such field");
  }

 private:
  static std::string printable(std::string_view name) {
    std::string out(name.substr(0, 64));
    while (!simdjson::validate_utf8(out)) out.pop_back();
    return out;
  }
  std::vector<std::pair<std::string_view, dom::element>> fields_;
};

// A string within `bytes_max`; `Rejection` otherwise. Null is none where it may be.
Result<std::optional<std::string_view>, Rejection> text_of(Fields& fields, std::string_view name, std::size_t bytes_max,
                                                           bool null_is_none) {
  const auto value = fields.take(name);
  if (!value || (null_is_none && value->is_null())) return std::optional<std::string_view>();
  std::string_view text;
  if (value->get_string().get(text))
    return invalid(name, null_is_none ? "it is not a string or null" : "it is not a string");
  if (auto problem = problem_with_text(name, text, bytes_max)) return std::move(*problem);
  return std::optional(text);
}

// `"metadata":{…}`: strings to strings.
std::optional<Rejection> write_metadata(JsonWriter& json, Fields& fields) {
  const auto value = fields.take("metadata");
  if (!value || value->is_null()) return {};
  dom::object object;
  if (value->get_object().get(object)) return invalid("metadata", "it is not an object");
  if (object.size() > BodyLimits::metadata_entries)
    return invalid("metadata", "it has more than " + std::to_string(BodyLimits::metadata_entries) + " entries");
  json.key("metadata").begin_object();
  for (const auto entry : object) {
    std::string_view text;
    if (entry.key.empty() || problem_with_text("metadata", entry.key, BodyLimits::name_bytes))
      return invalid("metadata", "a key in it is empty, too long, or has U+0000");
    const auto which = "the value of \"" + std::string(entry.key) + "\" ";
    if (entry.value.get_string().get(text)) return invalid("metadata", which + "is not a string");
    if (const auto problem = problem_with_text("metadata", text, BodyLimits::text_bytes))
      return invalid("metadata", which + problem->reason.substr(std::string_view("it ").size()));
    json.field(entry.key, text);
  }
  json.end_object();
  return {};
}

// Members are written without the braces around them.
std::string members_of(const std::string& object) { return object.substr(1, object.size() - 2); }

Result<AssessmentBody, Rejection> parse_create(Fields fields, BodyContext context) {
  AssessmentBody body;
  std::string object;
  JsonWriter json(object);
  json.begin_object();
  const auto is_correct = fields.take("is_correct");
  const bool guide = is_correct.has_value();
  if (guide) {
    bool correct = false;
    if (is_correct->get_bool().get(correct)) return invalid("is_correct", "it is not a boolean");
    body.name = "user_feedback";
    json.key("feedback").begin_object().field("value", correct).end_object();
  } else {
    const auto name = text_of(fields, "name", BodyLimits::name_bytes, false);
    if (!name) return name.error();
    if (!*name) return invalid("is_correct", "it is missing (or name and value)");
    if ((*name)->empty() || has_control_character(**name))
      return invalid("name", "it is empty or has control characters");
    body.name = **name;
    const auto value = fields.take("value");
    if (!value) return invalid("value", "it is missing");
    if (const auto problem = write_feedback(json, *value)) return *problem;
  }
  const auto text_field = guide ? "comment" : "rationale";
  const auto rationale = text_of(fields, text_field, BodyLimits::text_bytes, true);
  if (!rationale) return rationale.error();
  if (*rationale) json.field("rationale", **rationale);
  if (!guide) {
    if (const auto problem = write_metadata(json, fields)) return *problem;
    const auto span = text_of(fields, "span_id", BodyLimits::span_id_bytes, true);
    if (!span) return span.error();
    if (*span) {
      if (const auto problem = problem_with_id("span_id", **span)) return *problem;
      json.field("span_id", **span);
    }
    if (const auto source = fields.take("source"); source && !source->is_null()) {
      auto parts = Fields::of(*source);
      if (!parts) return invalid("source", "it is not an object");
      const auto type = text_of(*parts, "type", 32, false);
      if (!type) return invalid("source.type", type.error().reason);
      if (!*type) return invalid("source.type", "it is missing");
      if (**type != "HUMAN" && **type != "LLM_JUDGE" && **type != "CODE")
        return invalid("source.type", "it is not HUMAN, LLM_JUDGE or CODE");
      body.source_type = **type;
      const auto id = text_of(*parts, "id", BodyLimits::id_bytes, true);
      if (!id) return invalid("source.id", id.error().reason);
      if (*id) {
        if (const auto problem = problem_with_id("source.id", **id)) return invalid("source.id", problem->reason);
        body.source_id = **id;
      }
      if (const auto more = parts->left_over()) return invalid("source." + more->field, more->reason);
    }
  }
  if (context == BodyContext::batch) {
    for (const auto kind : {Target::Kind::trace_id, Target::Kind::client_request_id}) {
      Target target{kind, {}};
      const auto id = text_of(fields, target.field(), BodyLimits::id_bytes, true);
      if (!id) return id.error();
      if (!*id) continue;
      if (body.target) return invalid(target.field(), "trace_id and client_request_id are both given: one is enough");
      if (const auto problem = problem_with_target_id(target.field(), **id)) return *problem;
      target.id = **id;
      body.target = std::move(target);
    }
    if (!body.target) return invalid("client_request_id", "it is missing (or trace_id)");
    const auto key = text_of(fields, "idempotency_key", BodyLimits::key_bytes, true);
    if (!key) return key.error();
    if (*key) {
      if (const auto problem = problem_with_key("idempotency_key", **key)) return *problem;
      body.idempotency_key = **key;
    }
    const auto user = text_of(fields, "user_id", BodyLimits::id_bytes, true);
    if (!user) return user.error();
    if (*user) {
      if (const auto problem = problem_with_id("user_id", **user)) return *problem;
      body.user_id = **user;
    }
  }
  if (const auto more = fields.left_over()) return *more;
  json.end_object();
  body.members = members_of(object);
  return body;
}

Result<ChangesBody, Rejection> parse_changes(Fields fields) {
  std::string object;
  JsonWriter json(object);
  json.begin_object();
  if (const auto is_correct = fields.take("is_correct")) {
    bool correct = false;
    if (is_correct->get_bool().get(correct)) return invalid("is_correct", "it is not a boolean");
    if (fields.take("value")) return invalid("value", "is_correct says it already");
    json.key("feedback").begin_object().field("value", correct).end_object();
  } else if (const auto value = fields.take("value")) {
    if (const auto problem = write_feedback(json, *value)) return *problem;
  }
  bool has_text = false;
  for (const std::string_view name : {"rationale", "comment"}) {
    const auto value = fields.take(name);
    if (!value) continue;
    if (has_text) return invalid(name, "rationale says it already");
    has_text = true;
    std::string_view text;
    if (value->is_null())
      json.key("rationale").null();
    else if (value->get_string().get(text))
      return invalid(name, "it is not a string or null");
    else if (const auto problem = problem_with_text(name, text, BodyLimits::text_bytes))
      return *problem;
    else
      json.field("rationale", text);
  }
  if (const auto problem = write_metadata(json, fields)) return *problem;
  if (const auto more = fields.left_over()) return *more;
  json.end_object();
  if (object.size() == 2) return invalid("value", "nothing to change is given: value, rationale or metadata");
  return ChangesBody{members_of(object)};
}

}  // namespace

Result<AssessmentBody, Rejection> parse_assessment_body(std::string_view json, bool padded, BodyContext context) {
  const auto element = parse_json_body(json, padded);
  if (!element) return element.error();
  return parse_assessment_body(*element, context);
}

Result<AssessmentBody, Rejection> parse_assessment_body(dom::element element, BodyContext context) {
  auto fields = Fields::of(element);
  if (!fields) return fields.error();
  return parse_create(std::move(*fields), context);
}

Result<ChangesBody, Rejection> parse_changes_body(std::string_view json, bool padded) {
  const auto element = parse_json_body(json, padded);
  if (!element) return element.error();
  auto fields = Fields::of(*element);
  if (!fields) return fields.error();
  return parse_changes(std::move(*fields));
}

}  // namespace assay
