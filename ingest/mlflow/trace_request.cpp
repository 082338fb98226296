#include "ingest/mlflow/trace_request.hpp"

#include <boost/json/serialize.hpp>
#include <charconv>

#include "ingest/http/body_limits.hpp"
#include "ingest/http/given_ids.hpp"
#include "ingest/mlflow/assessment_value.hpp"
#include "ingest/mlflow/message_fields.hpp"
#include "ingest/mlflow/usage_metadata.hpp"
#include "ops/runtime/ids.hpp"
#include "storage/records/duration_text.hpp"
#include "storage/records/exact_json.hpp"
#include "storage/records/trace_record.hpp"
#include "storage/store/trace_row.hpp"

namespace assay {
namespace {

namespace json = boost::json;

constexpr std::size_t assessments_max = 4096;

Rejection invalid(std::string_view field, std::string_view reason) {
  return {400, std::string(field), std::string(reason)};
}

std::optional<Rejection> copy_text(const json::object& from, std::string_view name, json::object& to,
                                   std::size_t bytes_max = BodyLimits::text_bytes) {
  const auto* value = from.if_contains(name);
  if (!value) return {};
  const auto* text = value->if_string();
  if (!text) return invalid(name, "it is not a string");
  if (text->size() > bytes_max) return invalid(name, "it is longer than " + std::to_string(bytes_max) + " bytes");
  if (text->find('\0') != json::string::npos) return invalid(name, "it has U+0000");
  to[name] = *text;
  return {};
}

// An id, checked; empty where there is none, or an empty one.
Result<std::string, Rejection> id_in(const json::object& from, std::string_view name) {
  const auto* value = from.if_contains(name);
  if (!value) return std::string();
  const auto* text = value->if_string();
  if (!text) return invalid(name, "it is not a string");
  if (text->empty()) return std::string();
  if (auto problem = problem_with_id(name, {text->data(), text->size()})) return std::move(*problem);
  return std::string(text->data(), text->size());
}

std::optional<Rejection> copy_map(const json::object& from, std::string_view name, json::object& to) {
  const auto* value = from.if_contains(name);
  if (!value) return {};
  const auto* map = value->if_object();
  if (!map) return invalid(name, "it is not an object");
  for (const auto& [key, text] : *map)
    if (!text.is_string()) return invalid(name, "a value in it is not a string");
  to[name] = *map;
  return {};
}

// As it was sent; in_utc() writes it as MLflow's client can read it.
std::optional<Rejection> copy_time(const json::object& from, std::string_view name, json::object& to) {
  if (auto problem = copy_text(from, name, to, 64)) return problem;
  const auto* value = to.if_contains(name);
  if (!value) return {};
  const auto at = parse_time({value->get_string().data(), value->get_string().size()});
  if (!at) return invalid(name, "it is not a time as RFC 3339 writes it");
  if (!is_readable_time(*at)) return invalid(name, std::string(unreadable_time));
  return {};
}

// What copy_time() has copied, to the millisecond, as MLflow keeps it; `now` where there was none.
void in_utc(json::object& to, std::string_view name, Instant now) {
  const auto* value = to.if_contains(name);
  const auto at = value ? parse_time({value->get_string().data(), value->get_string().size()}) : std::nullopt;
  to[name] = format_time(at.value_or(now));
}

// A duration as protobuf's JSON has it ("0.0019s"), in whole milliseconds; none: it is something else, which MLflow
// answers with 500.
std::optional<std::string> duration_of(const json::value& sent) {
  constexpr std::uint64_t seconds_max = 315'576'000'000;
  const auto* given = sent.if_string();
  std::string_view text = given ? std::string_view(given->data(), given->size()) : std::string_view();
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  std::uint64_t seconds = 0;
  const auto [rest, ec] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (ec != std::errc() || seconds > seconds_max) return {};
  text.remove_prefix(static_cast<std::size_t>(rest - text.data()));
  std::string fraction;
  if (text.starts_with('.')) {
    fraction = text.substr(1, text.find_first_not_of("0123456789", 1) - 1);
    text.remove_prefix(1 + fraction.size());
    if (fraction.empty() || fraction.size() > 9) return {};
  }
  fraction.resize(3, '0');
  const auto milliseconds = static_cast<std::int64_t>(seconds * 1000) + std::stoi(fraction);
  if (text != "s" || milliseconds > static_cast<std::int64_t>(seconds_max * 1000)) return {};
  return (negative && milliseconds > 0 ? "-" : "") + duration_text(milliseconds);
}

Result<json::object, Rejection> parse_message(std::string_view body, std::string_view field) {
  json::parse_options options;
  options.max_depth = message_depth_max;
  error_code ec;
  const auto value = parse_json({body.data(), body.size()}, ec, options);
  if (ec == json::error::too_deep)
    return invalid("", "it is nested deeper than " + std::to_string(message_depth_max) + " levels");
  if (ec == json::error::exponent_overflow) return invalid("", number_too_large);
  const auto* message = !ec && value.is_object() ? value.get_object().if_contains(field) : nullptr;
  if (!message || !message->is_object())
    return invalid("", "Missing value for required parameter '" + std::string(field) +
                           "'. See the API docs for more information about request parameters.");
  return fields_of(message->get_object());
}

std::optional<Rejection> copy_source(const json::object& from, json::object& to) {
  json::object source{{"source_type", "SOURCE_TYPE_UNSPECIFIED"}};
  if (const auto* value = from.if_contains("source")) {
    if (!value->is_object()) return invalid("source", "it is not an object");
    const auto parts = fields_of(value->get_object());
    if (auto problem = copy_text(parts, "source_type", source, 64)) return problem;
    if (auto problem = copy_text(parts, "source_id", source, BodyLimits::id_bytes)) return problem;
  }
  auto& type = source["source_type"].get_string();
  if (type == "AI_JUDGE") type = "LLM_JUDGE";
  if (type != "HUMAN" && type != "LLM_JUDGE" && type != "CODE") type = "SOURCE_TYPE_UNSPECIFIED";
  to["source"] = std::move(source);
  return {};
}

// What is said: "feedback" or "expectation", one of the two.
std::optional<Rejection> copy_value(const json::object& from, json::object& to) {
  int kinds = 0;
  for (const std::string_view kind : {"feedback", "expectation"})
    if (const auto* value = from.if_contains(kind)) {
      auto said = read_assessment_value(kind, *value);
      if (!said) return said.error();
      to[kind] = std::move(*said);
      ++kinds;
    }
  if (from.contains("issue")) return Rejection{501, "issue", "issues are not kept here"};
  if (kinds == 0) return invalid("", "Unknown assessment type: None");
  if (kinds != 1) return invalid("feedback", "one of feedback and expectation is needed");
  return {};
}

// The id that it brings, or one of what was sent (`said`), its own times included: two calls of the client differ in
// them, a repeat of one does not. Who sends none may mean what it says: the same words again, after they were changed
// or taken back.
Result<std::string, Rejection> assessment_id_of(const json::object& from, std::string_view trace_id,
                                                std::string_view said, const Sameness& sameness) {
  auto id = id_in(from, "assessment_id");
  if (!id || !id->empty()) return id;
  if (sameness.key) {
    const auto* name = from.if_contains("assessment_name");
    return derived_id(assessment_prefix,
                      {"mlflow key", trace_id, *sameness.key, name && name->is_string() ? name->get_string() : ""});
  }
  if (sameness.unlike.empty() || from.contains("create_time"))
    return derived_id(assessment_prefix, {"mlflow", trace_id, said});
  return derived_id(assessment_prefix, {"mlflow", trace_id, said, sameness.unlike});
}

// Whoever sends a key again may have the time of each try in it.
std::string without_times(json::object said) {
  for (const std::string_view field : {"create_time", "last_update_time"}) said.erase(field);
  return json::serialize(said);
}

// `from`: an assessment's fields.
Result<SentAssessment, Rejection> read_assessment(const json::object& from, std::string_view trace_id, Instant now,
                                                  const Sameness& sameness = {}) {
  SentAssessment out;
  auto& to = out.json;
  to["assessment_id"] = "";    // first, as MLflow writes it
  to["assessment_name"] = "";  // MLflow takes a name that is empty
  if (auto problem = copy_text(from, "assessment_name", to, BodyLimits::name_bytes)) return std::move(*problem);
  for (const std::string_view field : {"span_id", "overrides"}) {
    const auto id = id_in(from, field);
    if (!id) return id.error();
    if (!id->empty()) to[field] = *id;
    if (field == "overrides") out.overrides = *id;
  }
  if (auto problem = copy_source(from, to)) return std::move(*problem);
  for (const std::string_view field : {"create_time", "last_update_time"})
    if (auto problem = copy_time(from, field, to)) return std::move(*problem);
  if (auto problem = copy_value(from, to)) return std::move(*problem);
  if (to.contains("expectation")) {  // MLflow's have neither
    to.erase("overrides");
    out.overrides.clear();
  } else if (auto problem = copy_text(from, "rationale", to, rationale_bytes_max)) {
    return std::move(*problem);
  }
  if (auto problem = copy_map(from, "metadata", to)) return std::move(*problem);
  if (const auto* metadata = to.if_contains("metadata"); metadata && holds_nul(metadata->get_object()))
    return invalid("metadata", "it has U+0000");
  to["valid"] = true;

  const auto said = json::serialize(to);
  const auto id = assessment_id_of(from, trace_id, said, sameness);
  if (!id) return id.error();
  const auto body_hash = content_hash({trace_id, sameness.key ? without_times(to) : said});
  to["assessment_id"] = *id;
  for (const std::string_view field : {"create_time", "last_update_time"}) in_utc(to, field, now);
  out.record = {.op = Op::create,
                .target = {Target::Kind::trace_id, std::string(trace_id)},
                .accepted_at = now,
                .body_hash = body_hash,
                .idempotent = true,
                .items = {{*id, *id, json::serialize(to)}}};
  return out;
}

std::optional<Rejection> copy_location(const json::object& from, json::object& to) {
  const auto* value = from.if_contains("trace_location");
  if (!value) return {};
  if (!value->is_object()) return invalid("trace_location", "it is not an object");
  const auto parts = fields_of(value->get_object());
  json::object location;
  if (auto problem = copy_text(parts, "type", location, 64)) return problem;
  const auto* experiment = parts.if_contains("mlflow_experiment");
  if (!experiment || !experiment->is_object()) return invalid("trace_location.mlflow_experiment", "it is missing");
  const auto id = id_in(fields_of(experiment->get_object()), "experiment_id");
  if (!id) return id.error();
  std::string type = location.contains("type") ? location["type"].get_string().c_str() : "";
  if (type != "MLFLOW_EXPERIMENT") {
    if (type != "INFERENCE_TABLE" && type != "UC_SCHEMA" && type != "UC_TABLE_PREFIX")
      type = "TRACE_LOCATION_TYPE_UNSPECIFIED";
    return invalid("", "Trace location type TraceLocationType." + type +
                           " does not match the provided location MlflowExperimentLocation(experiment_id='" + *id +
                           "').");
  }
  location["mlflow_experiment"] = json::object{{"experiment_id", *id}};
  to["trace_location"] = std::move(location);
  return {};
}

std::optional<Rejection> copy_ids(const json::object& from, TraceRequest& out) {
  const auto trace_id = id_in(from, "trace_id");
  if (!trace_id) return trace_id.error();
  if (trace_id->empty()) return invalid("trace_id", "it is missing");
  const auto request_id = id_in(from, "client_request_id");
  if (!request_id) return request_id.error();
  out.trace_id = *trace_id;
  out.client_request_id = *request_id;
  out.info["trace_id"] = *trace_id;
  if (!request_id->empty()) out.info["client_request_id"] = *request_id;
  return {};
}

std::optional<Rejection> copy_state(const json::object& from, json::object& to) {
  if (auto problem = copy_text(from, "state", to, 64)) return problem;
  if (!to.contains("state")) to["state"] = "STATE_UNSPECIFIED";
  const auto& state = to["state"].get_string();
  if (state != "OK" && state != "ERROR" && state != "IN_PROGRESS" && state != "STATE_UNSPECIFIED")
    return invalid("state", "it is not OK, ERROR or IN_PROGRESS");
  return {};
}

std::optional<Rejection> copy_metadata_and_tags(const json::object& from, json::object& to) {
  for (const std::string_view map : {"trace_metadata", "tags"})
    if (auto problem = copy_map(from, map, to)) return problem;
  // Of another trace, where a client copies one: the tag says where this one's own files are.
  if (auto* tags = to.if_contains("tags")) tags->get_object().erase("mlflow.artifactLocation");
  json::object metadata;
  if (const auto* given = to.if_contains("trace_metadata")) metadata = given->get_object();
  metadata.erase(experiment_name_key);  // ours to say; a trace that is a copy of another brings that one's
  normalise_usage(metadata);
  metadata["mlflow.trace.infoFinalized"] = "true";
  const auto* tags = to.if_contains("tags");
  // One is left for the name of its experiment, one is that it is final.
  if (metadata.size() + (tags ? tags->get_object().size() : 0) >= trace_entries_max)
    return invalid("trace_metadata",
                   "with the tags it has more than " + std::to_string(trace_entries_max - 2) + " entries");
  to["trace_metadata"] = std::move(metadata);
  return {};
}

std::optional<Rejection> read_assessments(const json::object& from, TraceRequest& out, Instant now) {
  const auto* assessments = from.if_contains("assessments");
  if (!assessments) return {};
  if (!assessments->is_array()) return invalid("assessments", "it is not a list");
  if (assessments->get_array().size() > assessments_max) return invalid("assessments", "there are too many");
  for (const auto& assessment : assessments->get_array()) {
    if (!assessment.is_object()) return invalid("assessments", "one of them is not an object");
    auto read = read_assessment(fields_of(assessment.get_object()), out.trace_id, now);
    if (read)
      out.assessments.push_back(std::move(*read));
    else if (!out.refused)
      out.refused = read.error();
  }
  return {};
}

}  // namespace

bool holds_nul(const json::object& texts) {
  for (const auto& [key, text] : texts)
    if (key.find('\0') != key.npos || (text.is_string() && text.get_string().find('\0') != json::string::npos))
      return true;
  return false;
}

bool is_readable_time(Instant at) {
  using namespace std::chrono;
  return at >= sys_days(year(1) / 1 / 1) && at < sys_days(year(10000) / 1 / 1);
}

Result<TraceRequest, Rejection> parse_trace_request(std::string_view body, Instant now) {
  const auto trace = parse_message(body, "trace");
  if (!trace) return trace.error();
  const auto* info = trace->if_contains("trace_info");
  if (!info || !info->is_object())
    return invalid("trace.trace_info", "Missing value for required parameter 'trace.trace_info'");
  const auto from = fields_of(info->get_object());
  TraceRequest out;
  auto& to = out.info;
  if (auto problem = copy_ids(from, out)) return std::move(*problem);
  if (auto problem = copy_location(from, to)) return std::move(*problem);
  if (const auto* location = to.if_contains("trace_location"))
    if (const auto* experiment = location->get_object().if_contains("mlflow_experiment"))
      out.experiment_id = experiment->get_object().at("experiment_id").get_string().c_str();
  if (auto problem = copy_time(from, "request_time", to)) return std::move(*problem);
  in_utc(to, "request_time", now);
  if (const auto* sent = from.if_contains("execution_duration")) {
    const auto duration = duration_of(*sent);
    if (!duration)
      return invalid("execution_duration", "it is not a duration in seconds as protobuf writes it: \"1.5s\"");
    to["execution_duration"] = *duration;
  }
  if (auto problem = copy_state(from, to)) return std::move(*problem);
  if (auto problem = copy_metadata_and_tags(from, to)) return std::move(*problem);
  for (const std::string_view preview : {"request_preview", "response_preview"})
    if (auto problem = copy_text(from, preview, to, 64u << 10)) return std::move(*problem);
  if (auto problem = read_assessments(from, out, now)) return std::move(*problem);
  return out;
}

Result<SentAssessment, Rejection> parse_assessment_request(std::string_view body, std::string_view trace_id,
                                                           Instant now, const Sameness& sameness) {
  const auto assessment = parse_message(body, "assessment");
  if (!assessment) return assessment.error();
  return read_assessment(*assessment, trace_id, now, sameness);
}

}  // namespace assay
