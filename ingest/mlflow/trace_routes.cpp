#include "ingest/mlflow/trace_routes.hpp"

#include <boost/json/serialize.hpp>

#include "ingest/mlflow/experiment_routes.hpp"
#include "ingest/mlflow/search_route.hpp"
#include "ingest/mlflow/tag_routes.hpp"
#include "ingest/mlflow/trace_v2_routes.hpp"
#include "storage/records/request_record.hpp"
#include "storage/records/trace_record.hpp"
#include "storage/store/catalog.hpp"
#include "storage/store/filter/catalog_filter.hpp"
#include "storage/store/store.hpp"

namespace assay {
namespace {

namespace json = boost::json;

// As the view knows it now.
Result<std::string, MlflowError> name_of_experiment(const MlflowDoor& door, std::string_view id, Stage wanted) {
  const auto found = Catalog(door.view->kv()).experiment(id);
  if (!found || !*found) {
    if (!door.config.own_experiments) return std::string();
    return no_experiment(id);
  }
  if (wanted == Stage::active)
    if (auto problem = problem_with_stage(**found)) return std::move(*problem);
  return id == default_experiment_id ? std::string() : (*found)->name;  // every MLflow has that one, under its id
}

// Whether spans of the trace have come: as far as this door has just seen, or as the store has it.
bool has_spans(const MlflowDoor& door, const std::string& trace_id) {
  if (door.recent.find(trace_id)) return true;
  if (!door.view) return false;
  const auto found = Store(door.view->kv()).has_spans(trace_id);
  return found.has_value() && *found;
}

// The tag of the location says that the spans are here. Without it the client uploads them: those that it can't encode
// for OpenTelemetry come in no other way, and what comes twice is the same.
Task<Response> start_trace(MlflowDoor& door, Request& request) {
  if (const auto problem = problem_with_content_type(request)) co_return error_response(*problem);
  const auto now = door.clock.now();
  auto trace = parse_trace_request(request.body, now);
  if (!trace) co_return error_response(request.path, trace.error());
  const bool spans_are_here = has_spans(door, trace->trace_id);
  auto refused = co_await write_trace(door, request, *trace, now);
  if (refused) co_return std::move(*refused);

  if (trace->refused) {
    trace->refused->reason += "; the trace and what else was said of it are kept";
    co_return error_response(request.path, *trace->refused);
  }
  auto& info = trace->info;
  json::object tags;
  if (const auto* given = info.if_contains("tags")) tags = given->get_object();
  if (spans_are_here) tags["mlflow.trace.spansLocation"] = "TRACKING_STORE";
  tags["mlflow.artifactLocation"] = artifact_location(trace->experiment_id, trace->trace_id);
  info["tags"] = std::move(tags);
  if (!trace->assessments.empty()) {
    json::array list;
    for (auto& assessment : trace->assessments) {
      assessment.json["trace_id"] = trace->trace_id;
      list.push_back(std::move(assessment.json));
    }
    info["assessments"] = std::move(list);
  }
  json::object inner, outer;
  inner["trace_info"] = std::move(info);
  outer["trace"] = std::move(inner);
  co_return durable(door, json::serialize(outer));
}

}  // namespace

Task<std::optional<Response>> write_trace(MlflowDoor& door, const Request& request, const TraceRequest& trace,
                                          Instant now) {
  auto info = trace.info;
  if (!trace.experiment_id.empty()) {
    const auto name = co_await experiment_for_traces(door, trace.experiment_id, Stage::active);
    if (!name) co_return error_response(name.error());
    if (!name->empty()) info["trace_metadata"].get_object()[experiment_name_key] = *name;
  }
  TraceRecord known;
  known.trace_id = trace.trace_id;
  known.accepted_at = now;
  known.info = json::serialize(info);
  if (known.info.size() > trace_info_bytes_max / 2) {  // what is answered 200 must not be too much for its row
    TraceRow row;
    if (const auto fits = row.apply(known); !fits) co_return error_response(invalid_parameter(fits.error().reason));
  }
  auto records = request_records(trace.trace_id, trace.client_request_id, now);
  records.insert(records.begin(), to_record(known));
  for (const auto& assessment : trace.assessments) records.push_back(to_record(assessment.record));
  auto refused = co_await write_all(door, request, std::move(records));
  if (!refused) {
    door.recent.add(trace.trace_id, trace.client_request_id, now);
    door.metrics.created.Increment(static_cast<double>(trace.assessments.size()));
  }
  co_return refused;
}

Response trace_not_found(MlflowDoor& door, std::string_view trace_id, std::string message) {
  auto response = error_response(does_not_exist(std::move(message)));
  if (!door.config.server_behind) return response;
  const auto deleted = door.view->deleted(trace_id);
  if (deleted && *deleted) response.status = 410;
  return response;
}

bool may_be_in(const MlflowDoor& door, const TraceRow& row, std::string_view experiment) {
  return row.experiment_id() == experiment ||
         (door.config.server_behind && row.text_at("trace_metadata." + std::string(experiment_name_key)));
}

std::string artifact_location(const std::string& experiment_id, const std::string& trace_id) {
  return "mlflow-artifacts:/" + experiment_id + "/traces/" + trace_id + "/artifacts";
}

// What is known now decides, where it is a yes; a no waits for what was written before.
Task<Result<std::string, MlflowError>> experiment_for_traces(MlflowDoor& door, std::string_view experiment_id,
                                                             Stage wanted) {
  if (!door.view || door.config.server_behind) co_return std::string();
  if (const auto problem = filter::problem_with_experiment_id(experiment_id); problem && door.config.own_experiments)
    co_return invalid_parameter(problem->message);
  auto name = name_of_experiment(door, experiment_id, wanted);
  if (name) co_return name;
  const auto applied = co_await door.view->applied(door.config.view_wait);
  if (!applied && !door.config.own_experiments) co_return std::string();  // not sure, so not refused
  if (!applied)  // an experiment of ours has a name, by which sinks find it in their MLflow: nobody would find an id
    co_return MlflowError("TEMPORARILY_UNAVAILABLE", "what was written before is not readable yet: ask again");
  co_return name_of_experiment(door, experiment_id, wanted);
}

void add_trace_routes(Router& router, MlflowDoor& door) {
  using http::verb;
  const RouteOptions large{
      .scope = Scope::trace, .admission = Admission::Kind::trace, .body_bytes_max = door.config.trace_bytes_max};
  add_mlflow(
      router, verb::post, "3.0/mlflow/traces", [&door](Request& r) { return start_trace(door, r); }, large);
  add_trace_read_routes(router, door);
  add_trace_delete_routes(router, door);
  add_tag_routes(router, door);
  if (door.config.server_behind)
    return add_mlflow(router, verb::post, "3.0/mlflow/traces/search", search_behind,
                      {.scope = Scope::read, .body_bytes_max = door.config.trace_bytes_max, .else_behind = true});
  add_mlflow(router, verb::post, "3.0/mlflow/traces/search", [&door](Request& r) { return search_traces(door, r); },
             {.scope = Scope::read});
  add_trace_v2_routes(router, door);
}

}  // namespace assay
