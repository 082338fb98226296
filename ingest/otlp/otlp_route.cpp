#include "ingest/otlp/otlp_route.hpp"

#include "ingest/http/given_ids.hpp"
#include "ingest/mlflow/trace_routes.hpp"
#include "ingest/otlp/inflate.hpp"
#include "ingest/otlp/otlp_request.hpp"
#include "storage/records/json_writer.hpp"
#include "storage/records/request_record.hpp"
#include "storage/store/filter/clause.hpp"
#include "storage/store/store.hpp"

namespace assay {
namespace {

constexpr std::string_view protobuf_type = "application/x-protobuf";
constexpr std::size_t inflation_max = 8;  // times the bytes that a plain body may have

// As MLflow's server writes errors here.
Response refusal(unsigned status, std::string_view detail) {
  Response response{.status = status};
  JsonWriter(response.body).begin_object().field("detail", detail).end_object();
  return response;
}

// The traces of a body, packed or not. What it unpacks to is counted against the door's budget until the answer, and
// lives no longer than this.
Result<std::vector<TraceRecord>, OtlpProblem> read_traces(const MlflowDoor& door, const Request& request,
                                                          std::string_view type, const OtlpExperiment& experiment,
                                                          Instant now) {
  const auto coding = filter::lower(request.header("Content-Encoding").value_or(""));
  const auto has_room = [&request](std::size_t bytes) { return !request.permit || request.permit->grow(bytes); };
  std::string unpacked;
  auto body = request.body;
  if (!coding.empty() && coding != "identity") {
    auto most = door.config.trace_bytes_max * inflation_max;
    if (request.permit) most = std::min(most, request.permit->growth_max());
    auto plain = inflated(body, coding, most, has_room);
    if (!plain) return plain.error();
    body = unpacked = std::move(*plain);
  }
  return type == protobuf_type ? parse_otlp(body, experiment, now) : parse_otlp_json(body, experiment, now);
}

// Late spans of a trace go to where the trace is, whatever the header says.
bool are_known(const MlflowDoor& door, const std::vector<TraceRecord>& traces) {
  if (!door.view) return false;
  const Store store(door.view->kv());
  return std::ranges::all_of(traces, [&store](const TraceRecord& trace) {
    const auto row = store.trace(trace.trace_id);
    return row && *row;
  });
}

Response refusal(const OtlpProblem& problem) {
  auto response = refusal(problem.status, problem.detail);
  if (problem.status != 503) return response;
  response.cause = Error::over_capacity;
  response.headers.emplace_back("Retry-After", std::to_string(retry_after_seconds));
  return response;
}

Task<Response> export_spans(MlflowDoor& door, Request& request) {
  const auto experiment = request.header("x-mlflow-experiment-id");
  if (!experiment) co_return refusal(422, "the header x-mlflow-experiment-id is missing");
  if (const auto problem = problem_with_id("x-mlflow-experiment-id", *experiment))
    co_return refusal(422, "the header x-mlflow-experiment-id: " + problem->reason);
  const std::string given(request.header("Content-Type").value_or(""));
  const auto type = given.substr(0, given.find(';'));
  if (type != protobuf_type && type != "application/json")
    co_return refusal(400, "Invalid Content-Type: " + (given.empty() ? std::string("None") : given) +
                               ". Expected: application/x-protobuf or application/json");
  const auto now = door.clock.now();
  const auto name = co_await experiment_for_traces(door, *experiment, Stage::any);
  const OtlpExperiment into{*experiment, name ? std::string_view(*name) : std::string_view()};
  auto traces = read_traces(door, request, type, into, now);
  if (!traces) co_return refusal(traces.error());
  if (!name && !are_known(door, *traces)) co_return error_response(name.error());

  std::vector<Record> records;
  std::vector<std::string> ids;
  for (auto& trace : *traces) {
    records.push_back(to_record(trace));
    trace.spans = {};
    if (!ids.empty() && trace.trace_id == ids.back()) continue;
    ids.push_back(trace.trace_id);
    for (auto& named : request_records(ids.back(), "", now)) records.push_back(std::move(named));
  }
  if (!records.empty()) {
    auto refused = co_await write_all(door, request, std::move(records));
    if (refused) co_return std::move(*refused);
  }
  for (const auto& id : ids) door.recent.add(id, "", now);
  Response response{.content_type = type == protobuf_type ? protobuf_type : json_type};
  if (type != protobuf_type) response.body = "{}";
  response.headers.emplace_back("Assay-Durability", std::string(door.log.durability()));
  co_return response;
}

}  // namespace

void add_otlp_route(Router& router, MlflowDoor& door) {
  router.add(
      http::verb::post, "/v1/traces", [&door](Request& request) { return export_spans(door, request); },
      {.scope = Scope::trace, .admission = Admission::Kind::trace, .body_bytes_max = door.config.spans_bytes_max});
}

}  // namespace assay
