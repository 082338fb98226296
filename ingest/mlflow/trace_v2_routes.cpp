#include "ingest/mlflow/trace_v2_routes.hpp"

#include <fmt/format.h>

#include <boost/json/serialize.hpp>
#include <cstdlib>

#include "ingest/mlflow/search_route.hpp"
#include "ingest/mlflow/trace_request.hpp"
#include "ingest/mlflow/trace_routes.hpp"
#include "ingest/mlflow/usage_metadata.hpp"
#include "ops/runtime/ids.hpp"
#include "storage/records/exact_json.hpp"
#include "storage/records/trace_record.hpp"
#include "storage/store/store.hpp"

namespace assay {
namespace {

namespace json = boost::json;

// [{"key":K,"value":V}…] as {K:V…}; of a key given twice the last counts.
Result<json::object, MlflowError> pairs_in(const json::object& body, std::string_view name) {
  json::object out;
  const auto* value = body.if_contains(name);
  if (!value || value->is_null()) return out;
  const auto* list = value->if_array();
  if (!list) return wrong_value(name, *value, python_type(*value));
  for (const auto& element : *list) {
    const auto* pair = element.if_object();
    if (!pair || text_in(*pair, "key").empty()) return wrong_value(name, *value, "list");
    out[text_in(*pair, "key")] = text_in(*pair, "value");
  }
  return out;
}

json::array pairs_of(const json::object& map) {
  json::array out;
  for (const auto& [key, value] : map) out.push_back({{"key", key}, {"value", value}});
  return out;
}

std::string_view second_status(std::string_view state) {
  return state == "STATE_UNSPECIFIED" ? "TRACE_STATUS_UNSPECIFIED" : state;
}

// "0.048s" in milliseconds; 0 where there is none.
std::int64_t duration_ms(const json::object& info) {
  const auto text = text_in(info, "execution_duration");
  return text.empty() ? 0 : static_cast<std::int64_t>(std::strtod(text.c_str(), nullptr) * 1000 + 0.5);
}

json::object object_in(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  return value && value->is_object() ? value->get_object() : json::object();
}

json::object second_form(const json::object& info) {
  const auto location = object_in(object_in(info, "trace_location"), "mlflow_experiment");
  const auto began = parse_time(text_in(info, "request_time"));
  json::object out;
  out["request_id"] = text_in(info, "trace_id");
  out["experiment_id"] = text_in(location, "experiment_id");
  out["timestamp_ms"] = began ? began->time_since_epoch().count() : 0;
  out["execution_time_ms"] = duration_ms(info);
  out["status"] = second_status(text_in(info, "state"));
  out["request_metadata"] = pairs_of(object_in(info, "trace_metadata"));
  out["tags"] = pairs_of(object_in(info, "tags"));
  return out;
}

// trace_info as the store gives it, in the second form.
json::object second_form(std::string_view info) {
  boost::system::error_code ec;
  const auto parsed = parse_stored_json({info.data(), info.size()}, ec);
  return second_form(!ec && parsed.is_object() ? parsed.get_object() : json::object());
}

std::string info_answer(json::object info) {
  json::object outer;
  outer["trace_info"] = std::move(info);
  return json::serialize(outer);
}

Result<std::optional<Instant>, MlflowError> time_in(const json::object& body) {
  if (auto problem = problem_with_types(body, {{"timestamp_ms", FieldType::whole}})) return std::move(*problem);
  const auto ms = integer_in(body, "timestamp_ms");
  if (!ms) return std::optional<Instant>();
  const Instant at{std::chrono::milliseconds(*ms)};
  if (!is_readable_time(at)) return invalid_parameter("timestamp_ms: " + std::string(unreadable_time));
  return std::optional(at);
}

// What starts a trace as the body of StartTraceV3, so that the same limits hold.
Result<std::string, MlflowError> third_form(const json::object& body, Instant now) {
  auto metadata = pairs_in(body, "request_metadata");
  if (!metadata) return metadata.error();
  auto tags = pairs_in(body, "tags");
  if (!tags) return tags.error();
  const auto experiment = required_text(body, "experiment_id");
  if (!experiment) return experiment.error();
  const auto began = time_in(body);
  if (!began) return began.error();
  json::object info, experiment_location, location, trace, whole;
  experiment_location["experiment_id"] = *experiment;
  location["type"] = "MLFLOW_EXPERIMENT";
  location["mlflow_experiment"] = std::move(experiment_location);
  info["trace_id"] = random_id(trace_prefix);
  info["trace_location"] = std::move(location);
  info["request_time"] = format_time(began->value_or(now));
  info["state"] = "IN_PROGRESS";
  info["trace_metadata"] = std::move(*metadata);
  info["tags"] = std::move(*tags);
  trace["trace_info"] = std::move(info);
  whole["trace"] = std::move(trace);
  return json::serialize(whole);
}

std::string started_answer(const TraceRequest& trace) {
  auto info = second_form(trace.info);
  json::object location;
  location["key"] = "mlflow.artifactLocation";
  location["value"] = artifact_location(trace.experiment_id, trace.trace_id);
  info["tags"].get_array().push_back(std::move(location));
  return info_answer(std::move(info));
}

Task<Response> start(MlflowDoor& door, Request& request) {
  const auto body = read_body(request);
  if (!body) co_return error_response(body.error());
  const auto now = door.clock.now();
  const auto third = third_form(*body, now);
  if (!third) co_return error_response(third.error());
  auto trace = parse_trace_request(*third, now);
  if (!trace) co_return error_response(request.path, trace.error());
  trace->info["trace_metadata"].get_object().erase("mlflow.trace.infoFinalized");  // more is to come
  auto refused = co_await write_trace(door, request, *trace, now);
  if (refused) co_return std::move(*refused);
  co_return durable(door, started_answer(*trace));
}

// What ends the trace that `row` knows; a refusal in MLflow's words.
Result<TraceRecord, MlflowError> end_of(const std::string& trace_id, const TraceRow& row, const json::object& body,
                                        Instant now) {
  auto metadata = pairs_in(body, "request_metadata");
  if (!metadata) return metadata.error();
  auto tags = pairs_in(body, "tags");
  if (!tags) return tags.error();
  const auto status = text_in(body, "status");
  if (status != "OK" && status != "ERROR" && status != "IN_PROGRESS") {
    const auto* given = body.if_contains("status");
    return given ? wrong_value("status", *given, "str") : missing("status");
  }
  json::object info;
  info["trace_id"] = trace_id;
  info["state"] = status;
  const auto ended = time_in(body);
  if (!ended) return ended.error();
  if (*ended)
    info["execution_duration"] = fmt::format("{:.3f}s", static_cast<double>((**ended - row.time()).count()) / 1000);
  metadata->erase(experiment_name_key);  // as in parse_trace_request
  normalise_usage(*metadata);
  info["trace_metadata"] = std::move(*metadata);
  info["tags"] = std::move(*tags);
  return TraceRecord{.trace_id = trace_id, .accepted_at = std::max(now, row.after()), .info = json::serialize(info)};
}

Task<Response> get_info(MlflowDoor& door, Request& request) {
  const std::string trace_id(request.params[0]);
  auto refused = co_await ready_to_read(door, request);
  if (refused) co_return std::move(*refused);
  const auto info = door.view->trace_info(trace_id);
  if (!info) co_return read_failed(request, info.error());
  if (!*info) co_return error_response(does_not_exist("Trace with ID '" + trace_id + "' not found."));
  co_return answer(info_answer(second_form(**info)));
}

Task<Response> end(MlflowDoor& door, Request& request) {
  const std::string trace_id(request.params[0]);
  const auto body = read_body(request);
  if (!body) co_return error_response(body.error());
  auto refused = co_await ready_to_read(door, request);
  if (refused) co_return std::move(*refused);
  auto row = Store(door.view->kv()).trace(trace_id);
  if (!row) co_return read_failed(request, row.error());
  if (!*row) co_return error_response(does_not_exist("Trace with ID '" + trace_id + "' not found."));
  const auto ended = end_of(trace_id, **row, *body, door.clock.now());
  if (!ended) co_return error_response(ended.error());
  if (const auto fits = (*row)->apply(*ended); !fits) co_return error_response(invalid_parameter(fits.error().reason));
  auto record = to_record(*ended);
  const auto appended = co_await door.log.append(std::move(record));
  if (!appended) co_return error_response(request.path, appended.error());
  auto response = co_await get_info(door, request);
  if (response.status == 200) response = durable(door, std::move(response.body));
  co_return response;
}

// The query of the second version as the body of the third's.
Result<json::object, MlflowError> third_query(const Query& query) {
  json::object asked;
  json::array locations, order;
  for (const auto& id : query.all("experiment_ids")) {
    json::object experiment, location;
    experiment["experiment_id"] = id;
    location["type"] = "MLFLOW_EXPERIMENT";
    location["mlflow_experiment"] = std::move(experiment);
    locations.push_back(std::move(location));
  }
  if (locations.empty()) return missing("experiment_ids");
  for (const auto& clause : query.all("order_by")) order.emplace_back(clause);
  asked["locations"] = std::move(locations);
  asked["order_by"] = std::move(order);
  for (const auto* name : {"filter", "page_token"})
    if (const auto given = query.get(name)) asked[name] = std::string(*given);
  if (const auto given = query.get("max_results")) {
    boost::system::error_code ec;
    const std::string text(*given);
    auto number = parse_json(text, ec);
    asked["max_results"] = ec ? json::value(text) : std::move(number);
  }
  return asked;
}

// What the third version's search has found, in the second form.
std::string second_answer(std::string_view found) {
  boost::system::error_code ec;
  auto answered = parse_stored_json({found.data(), found.size()}, ec);
  if (ec || !answered.is_object()) return "{}";
  if (auto* traces = answered.get_object().if_contains("traces"); traces && traces->is_array())
    for (auto& trace : traces->get_array())
      if (trace.is_object()) trace = second_form(trace.get_object());
  return json::serialize(answered);
}

Task<Response> search(MlflowDoor& door, Request& request) {
  const auto query = Query::parse_repeating(request.query, {"experiment_ids", "order_by"});
  if (!query) co_return error_response(request.path, query.error());
  const auto asked = third_query(*query);
  if (!asked) co_return error_response(asked.error());
  auto found = co_await search_traces(door, request, *asked);
  if (found.status == 200) found.body = second_answer(found.body);
  co_return found;
}

}  // namespace

void add_trace_v2_routes(Router& router, MlflowDoor& door) {
  using http::verb;
  const RouteOptions write{
      .scope = Scope::trace, .admission = Admission::Kind::trace, .body_bytes_max = door.config.trace_bytes_max};
  add_mlflow(
      router, verb::post, "2.0/mlflow/traces", [&door](Request& r) { return start(door, r); }, write);
  add_mlflow(
      router, verb::patch, "2.0/mlflow/traces/{trace_id}", [&door](Request& r) { return end(door, r); }, write);
  add_mlflow(router, verb::get, "2.0/mlflow/traces/{trace_id}/info", [&door](Request& r) { return get_info(door, r); },
             {.scope = Scope::read});
  add_mlflow(router, verb::get, "2.0/mlflow/traces", [&door](Request& r) { return search(door, r); },
             {.scope = Scope::read});
}

}  // namespace assay
