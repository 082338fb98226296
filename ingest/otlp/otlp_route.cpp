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
constexpr std::size_t inflation_max = 8;             // times the bytes that a plain body may have
constexpr std::size_t read_at_once_max = 64u << 10;  // a millisecond, on the thread of its connection

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

struct Export {
  std::vector<std::string> ids;  // of its traces
  std::vector<Record> records;
};

Result<Export, OtlpProblem> read_export(const MlflowDoor& door, const Request& request, std::string_view type,
                                        const OtlpExperiment& experiment, Instant now) {
  auto traces = read_traces(door, request, type, experiment, now);
  if (!traces) return traces.error();
  Export out;
  for (auto& trace : *traces) {
    out.records.push_back(to_record(trace));
    trace.spans = {};
    if (!out.ids.empty() && trace.trace_id == out.ids.back()) continue;
    out.ids.push_back(trace.trace_id);
    for (auto& named : request_records(out.ids.back(), "", now)) out.records.push_back(std::move(named));
  }
  return out;
}

// A small body of packed bytes may be megabytes.
bool takes_long(const Request& request) {
  return request.body.size() > read_at_once_max || request.count("Content-Encoding") > 0;
}

// Late spans of a trace go to where the trace is, whatever the header says.
bool are_known(const MlflowDoor& door, const std::vector<std::string>& ids) {
  if (!door.view) return false;
  const Store store(door.view->kv());
  return std::ranges::all_of(ids, [&store](const std::string& id) {
    const auto row = store.trace(id);
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
  Result<Export, OtlpProblem> exported = Export();
  const std::function<void()> read = [&] { exported = read_export(door, request, type, into, now); };
  if (takes_long(request)) {
    const auto ran = co_await door.aside.run(read);
    if (!ran) co_return error_response(request.path, ran.error());
  } else {
    read();
  }
  if (!exported) co_return refusal(exported.error());
  if (!name && !are_known(door, exported->ids)) co_return error_response(name.error());
  if (!exported->records.empty()) {
    auto refused = co_await write_all(door, request, std::move(exported->records));
    if (refused) co_return std::move(*refused);
  }
  for (const auto& id : exported->ids) door.recent.add(id, "", now);
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
