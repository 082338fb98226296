#include "ingest/mlflow/mlflow_routes.hpp"

#include <boost/json/serialize.hpp>

#include "ingest/feedback/assessment_body.hpp"
#include "ingest/mlflow/trace_request.hpp"
#include "ops/runtime/error.hpp"
#include "storage/records/request_record.hpp"
#include "storage/records/trace_record.hpp"

namespace assay {
namespace {

namespace json = boost::json;

Response durable(std::string_view durability, const json::object& body) {
  Response response{.body = json::serialize(body)};
  response.headers.emplace_back("Assay-Durability", durability);
  return response;
}

// What is known of the trace, the ids that name it, and what was said about it: all or none.
Task<Response> start_trace(EventLog& log, RecentTraces& recent, const Clock& clock, Request& request) {
  const auto now = clock.now();
  auto trace = parse_trace_request(request.body, now);
  if (!trace) co_return error_response(request.path, trace.error());
  TraceRecord known;
  known.trace_id = trace->trace_id;
  known.accepted_at = now;
  known.info = json::serialize(trace->info);
  auto records = request_records(trace->trace_id, trace->client_request_id, now);
  records.insert(records.begin(), to_record(known));
  for (const auto& assessment : trace->assessments) records.push_back(to_record(assessment.record));
  const auto appended = co_await log.append_all(std::move(records));
  for (const auto& one : appended)
    if (!one) co_return error_response(request.path, one.error());
  recent.add(trace->trace_id, trace->client_request_id);

  // The echo says that the spans are (or will be) here, or the client would upload them as an artifact.
  auto& info = trace->info;
  json::object tags, metadata;
  if (const auto* given = info.if_contains("tags")) tags = given->get_object();
  if (const auto* given = info.if_contains("trace_metadata")) metadata = given->get_object();
  tags["mlflow.trace.spansLocation"] = "TRACKING_STORE";
  metadata["mlflow.trace.infoFinalized"] = "true";
  info["trace_metadata"] = std::move(metadata);
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
  co_return durable(durability_of(log, appended), outer);
}

Task<Response> get_trace(View* view, std::chrono::milliseconds wait, Request& request) {
  if (!view) co_return error_response(request.path, 501, "this front door has no store to read traces from");
  const auto applied = co_await view->applied(wait);
  if (!applied) co_return error_response(request.path, applied.error());
  const auto id = request.params[0];
  if (auto problem = problem_with_id("trace_id", id)) co_return error_response(request.path, *problem);
  const auto info = view->trace_info(id);
  if (!info) co_return error_response(request.path, info.error());
  if (!*info) co_return error_response(request.path, 404, "Trace with ID '" + std::string(id) + "' not found.");
  co_return Response{.body = R"({"trace":{"trace_info":)" + **info + "}}"};
}

// Early is not lost: a trace that nobody knows yet is no error here.
Task<Response> log_assessment(EventLog& log, const Clock& clock, Request& request) {
  const auto trace_id = request.params[0];
  if (auto problem = problem_with_id("trace_id", trace_id)) co_return error_response(request.path, *problem);
  auto sent = parse_assessment_request(request.body, trace_id, clock.now());
  if (!sent) co_return error_response(request.path, sent.error());
  auto record = to_record(sent->record);
  const auto appended = co_await log.append(std::move(record));
  if (!appended) co_return error_response(request.path, appended.error());
  if (appended->outcome == Appended::Outcome::conflict)
    co_return error_response(request.path, 409, "this assessment_id was used for something else");
  sent->json["trace_id"] = trace_id;
  json::object answer;
  answer["assessment"] = std::move(sent->json);
  co_return durable(durability_of(log, appended), answer);
}

}  // namespace

void add_mlflow_routes(Router& router, EventLog& log, View* view, RecentTraces& recent, const Clock& clock,
                       const IngestConfig& config) {
  const std::string traces = "/api/3.0/mlflow/traces";
  router.add(http::verb::post, traces,
             [&log, &recent, &clock](Request& request) { return start_trace(log, recent, clock, request); },
             {.scope = Scope::trace, .body_bytes_max = config.trace_bytes_max});
  router.add(http::verb::get, traces + "/{trace_id}",
             [view, wait = config.view_wait](Request& request) { return get_trace(view, wait, request); },
             {.scope = Scope::read, .body_bytes_max = 0});
  router.add(http::verb::post, traces + "/{trace_id}/assessments",
             [&log, &clock](Request& request) { return log_assessment(log, clock, request); },
             {.scope = Scope::feedback});
}

}  // namespace assay
