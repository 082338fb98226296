#include "ingest/mlflow/trace_routes.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <set>

#include "ingest/mlflow/experiment_routes.hpp"
#include "ingest/mlflow/pending.hpp"
#include "ingest/mlflow/search_route.hpp"
#include "ingest/mlflow/span_json.hpp"
#include "ingest/mlflow/tag_routes.hpp"
#include "ingest/mlflow/trace_request.hpp"
#include "ingest/mlflow/trace_v2_routes.hpp"
#include "storage/records/request_record.hpp"
#include "storage/records/trace_record.hpp"
#include "storage/store/catalog.hpp"
#include "storage/store/filter/catalog_filter.hpp"
#include "storage/store/store.hpp"

namespace assay {
namespace {

namespace json = boost::json;

constexpr std::size_t batch_max = 500;

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

Task<Response> get_trace_info(MlflowDoor& door, Request& request) {
  auto refused = co_await ready_to_read(door, request);
  if (refused) co_return std::move(*refused);
  const auto id = pending::resolved(door, request.params[0]);
  const auto info = door.view->trace_info(id);
  if (!info) co_return read_failed(request, info.error());
  if (const auto pending = pending::request_of(id); !*info && pending)
    co_return answer(R"({"trace":{"trace_info":)" + pending::info_json(*pending, "0", door.clock.now()) + "}}");
  if (!*info) co_return trace_not_found(door, id, "Trace with ID '" + id + "' not found.");
  co_return answer(R"({"trace":{"trace_info":)" + **info + "}}");
}

// The spans that its client has counted, where it has.
std::size_t spans_expected(const TraceRow& row) {
  const auto stats = row.text_at("trace_metadata.mlflow.trace.sizeStats");
  if (!stats) return 0;
  boost::system::error_code ec;
  const auto parsed = json::parse(*stats, ec);
  const auto* count = !ec && parsed.is_object() ? parsed.get_object().if_contains("num_spans") : nullptr;
  return count && count->is_int64() ? static_cast<std::size_t>(count->get_int64()) : 0;
}

std::optional<MlflowError> problem_with_ids(const std::vector<std::string>& experiments) {
  for (const auto& id : experiments)
    if (const auto problem = filter::problem_with_experiment_id(id)) return invalid_parameter(problem->message);
  return {};
}

// An experiment that has a name has another id in an MLflow server behind this door.
bool is_in(const MlflowDoor& door, const TraceRow& row, std::string_view experiment) {
  return row.experiment_id() == experiment ||
         (door.config.server_behind && row.text_at("trace_metadata." + std::string(experiment_name_key)));
}

struct WholeTrace {
  bool known = false, complete = false;
  std::string json;
};

Result<WholeTrace> whole_trace(const Store& store, const std::string& id) {
  const auto row = store.trace(id);
  if (!row) return row.error();
  if (!*row) return WholeTrace{};
  const auto info = store.trace_info(id);
  if (!info) return info.error();
  if (!*info) return WholeTrace{};
  const auto kept = store.spans(id);
  if (!kept) return kept.error();
  std::size_t count = 0;
  const auto spans = proto_spans(*kept, count);
  WholeTrace whole{.known = true, .complete = count >= std::max<std::size_t>(spans_expected(**row), 1)};
  whole.json = R"({"trace_info":)" + **info + (count ? R"(,"spans":)" + spans : std::string()) + "}";
  return whole;
}

// Spans come on a way of their own, and may be on it still.
Task<Response> get_trace(MlflowDoor& door, Request& request) {
  auto refused = co_await ready_to_read(door, request);
  if (refused) co_return std::move(*refused);
  const auto query = Query::parse(request.query);
  if (!query) co_return error_response(request.path, query.error());
  const auto id = pending::resolved(door, query->get("trace_id").value_or(""));
  if (id.empty()) co_return error_response(missing("trace_id"));
  const auto partial = filter::lower(query->get("allow_partial").value_or("false"));
  if (partial != "true" && partial != "false")
    co_return error_response(invalid_parameter("Invalid boolean value: " + partial + ", must be 'true' or 'false'."));
  const Store store(door.view->kv());
  const auto deadline = std::chrono::steady_clock::now() + door.config.spans_wait;
  const auto executor = co_await asio::this_coro::executor;
  for (;;) {
    auto whole = whole_trace(store, id);
    if (!whole) co_return read_failed(request, whole.error());
    if (!whole->known) co_return trace_not_found(door, id, "Trace with ID " + id + " is not found.");
    if (whole->complete || partial == "true") co_return answer(R"({"trace":)" + whole->json + "}");
    if (std::chrono::steady_clock::now() >= deadline) break;
    Timer timer(executor, std::chrono::milliseconds(50));
    co_await timer.async_wait(as_result);
  }
  co_return error_response(
      does_not_exist("Trace with ID " + id + " is not fully exported yet, please try again later."));
}

// Where one of them is not here as a whole they are all asked of the server behind, which has them in its tables:
// nobody looks here for spans that it has as artifacts.
Task<Response> batch_get(MlflowDoor& door, Request& request) {
  const auto query = Query::parse_repeating(request.query, {"trace_ids", "experiment_ids"});
  if (!query) co_return error_response(request.path, query.error());
  auto ids = query->all("trace_ids");
  if (ids.empty()) co_return error_response(missing("trace_ids"));
  if (ids.size() > batch_max) co_return error_response(invalid_parameter("trace_ids: at most 500 at once"));
  const auto experiments = query->all("experiment_ids");
  if (const auto problem = problem_with_ids(experiments)) co_return error_response(*problem);
  auto refused = co_await ready_to_read(door, request);
  if (refused) co_return std::move(*refused);
  const Store store(door.view->kv());
  std::string list;
  std::vector<std::string> seen;
  for (const auto& given : ids) {
    const auto id = pending::resolved(door, given);
    if (std::find(seen.begin(), seen.end(), id) != seen.end()) continue;
    seen.push_back(id);
    if (const auto pending = pending::request_of(id); pending && !door.unknown) {
      list +=
          (list.empty() ? "" : ",") + (R"({"trace_info":)" + pending::info_json(*pending, "0", door.clock.now()) + "}");
      continue;
    }
    const auto whole = whole_trace(store, id);
    if (!whole) co_return read_failed(request, whole.error());
    if (!whole->known || !whole->complete) {
      if (door.config.server_behind) co_return error_response(does_not_exist("Trace with ID " + id + " is not found."));
      continue;
    }
    if (!experiments.empty()) {
      const auto row = store.trace(id);
      if (!row || !*row || std::ranges::none_of(experiments, [&](const std::string& experiment) {
            return is_in(door, **row, experiment);
          }))
        continue;
    }
    list += (list.empty() ? "" : ",") + whole->json;
  }
  co_return answer(list.empty() ? "{}" : R"({"traces":[)" + list + "]}");
}

Task<Response> batch_get_infos(MlflowDoor& door, Request& request) {
  const auto body = read_body(request);
  if (!body) co_return error_response(body.error());
  const auto ids = texts_in(*body, "trace_ids");
  if (!ids) co_return error_response(ids.error());
  if (ids->empty()) co_return error_response(missing("trace_ids"));
  const auto experiments = texts_in(*body, "experiment_ids");
  if (!experiments) co_return error_response(experiments.error());
  if (const auto problem = problem_with_ids(*experiments)) co_return error_response(*problem);
  const bool anywhere = !body->contains("experiment_ids");
  auto refused = co_await ready_to_read(door, request);
  if (refused) co_return std::move(*refused);
  const Store store(door.view->kv());
  std::string list;
  std::set<std::string> seen;
  for (const auto& id : *ids) {
    if (!seen.insert(id).second) continue;
    const auto row = store.trace(id);
    if (!row) co_return read_failed(request, row.error());
    if (!*row || !(anywhere || std::ranges::count(*experiments, (*row)->experiment_id()))) continue;
    const auto info = door.view->trace_info(id);
    if (!info) co_return read_failed(request, info.error());
    if (*info) list += (list.empty() ? "" : ",") + **info;
  }
  co_return answer(list.empty() ? "{}" : R"({"trace_infos":[)" + list + "]}");
}

std::optional<MlflowError> problem_with_delete(const json::object& body) {
  return problem_with_types(body, {{"max_timestamp_millis", FieldType::whole}, {"max_traces", FieldType::whole}});
}

// By id, or everything of an experiment up to a time, the oldest first. What is known here is deleted by a record, as
// everything; where that may not be all the server behind is asked to do the same, and answers.
Task<Response> delete_traces(MlflowDoor& door, Request& request) {
  const auto body = read_body(request);
  if (!body) co_return error_response(body.error());
  const auto experiment = required_text(*body, "experiment_id");
  if (!experiment) co_return error_response(experiment.error());
  if (const auto problem = filter::problem_with_experiment_id(*experiment))
    co_return error_response(invalid_parameter(problem->message));
  if (const auto problem = problem_with_delete(*body)) co_return error_response(*problem);
  const auto ids = texts_in(*body, "request_ids");
  if (!ids) co_return error_response(ids.error());
  const auto until = integer_in(*body, "max_timestamp_millis"), most = integer_in(*body, "max_traces");
  if (!until && ids->empty())
    co_return error_response(invalid_parameter("Either `max_timestamp_millis` or `trace_ids` must be specified."));
  if (until && !ids->empty())
    co_return error_response(invalid_parameter("Only one of `max_timestamp_millis` and `trace_ids` can be specified."));
  if (!ids->empty() && most)
    co_return error_response(invalid_parameter("`max_traces` can't be specified if `trace_ids` is specified."));
  if (most && *most <= 0)
    co_return error_response(
        invalid_parameter("`max_traces` must be a positive integer, received " + std::to_string(*most) + "."));
  auto refused = co_await ready_to_read(door, request);
  if (refused) co_return std::move(*refused);

  const Store store(door.view->kv());
  std::vector<std::string> found;
  if (until) {
    constexpr auto end_of_time = std::int64_t{1} << 50;  // who wants all of them gives the largest number that he has
    const Instant behind{std::chrono::milliseconds(std::min(*until, end_of_time) + 1)};
    const auto visited = store.traces_of_experiment(*experiment, Instant{}, behind, [&](std::string_view id, Instant) {
      found.emplace_back(id);
      return !most || std::ssize(found) < *most;
    });
    if (!visited) co_return read_failed(request, visited.error());
  }
  const std::set<std::string> asked(ids->begin(), ids->end());
  for (const auto& id : asked) {
    const auto row = store.trace(id);
    if (!row) co_return read_failed(request, row.error());
    if (*row && is_in(door, **row, *experiment)) found.push_back(id);
  }
  const auto now = door.clock.now();
  for (std::size_t from = 0; from < found.size(); from += batch_max) {
    std::vector<Record> records;
    for (auto i = from; i < std::min(from + batch_max, found.size()); ++i)
      records.push_back(to_record(TraceRecord{.deleted = true, .trace_id = found[i], .accepted_at = now}));
    refused = co_await write_all(door, request, std::move(records));
    if (refused) co_return std::move(*refused);
  }
  // Feedback that is said next is about a trace that is gone: the door looks at the view, and does not wait for it.
  if (!found.empty()) (void)co_await door.view->applied(door.config.view_wait);
  const bool all = !door.config.server_behind || (!until && asked.size() == found.size());
  if (!all) co_return error_response(does_not_exist("not all of them are known here"));
  co_return durable(
      door, found.empty() ? R"({"traces_deleted":0})" : R"({"traces_deleted":)" + std::to_string(found.size()) + "}");
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
  auto records = request_records(trace.trace_id, trace.client_request_id, now);
  records.insert(records.begin(), to_record(known));
  for (const auto& assessment : trace.assessments) records.push_back(to_record(assessment.record));
  auto refused = co_await write_all(door, request, std::move(records));
  if (!refused) {
    door.recent.add(trace.trace_id, trace.client_request_id);
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
  add_mlflow(router, verb::get, "3.0/mlflow/traces/{trace_id}", [&door](Request& r) { return get_trace_info(door, r); },
             {.scope = Scope::read, .else_behind = true});
  add_mlflow(router, verb::get, "3.0/mlflow/traces/get", [&door](Request& r) { return get_trace(door, r); },
             {.scope = Scope::read, .else_behind = true});
  add_mlflow(router, verb::get, "3.0/mlflow/traces/batchGet", [&door](Request& r) { return batch_get(door, r); },
             {.scope = Scope::read, .else_behind = true});
  for (const std::string version : {"2.0", "3.0"})
    add_mlflow(router, verb::post, version + "/mlflow/traces/delete-traces",
               [&door](Request& r) { return delete_traces(door, r); }, {.scope = Scope::admin, .else_behind = true});
  add_tag_routes(router, door);
  if (door.config.server_behind) return;
  add_mlflow(router, verb::post, "3.0/mlflow/traces/batchGetInfos",
             [&door](Request& r) { return batch_get_infos(door, r); }, {.scope = Scope::read});
  add_mlflow(router, verb::post, "3.0/mlflow/traces/search", [&door](Request& r) { return search_traces(door, r); },
             {.scope = Scope::read});
  add_trace_v2_routes(router, door);
}

}  // namespace assay
