#include "ingest/mlflow/artifact_routes.hpp"

#include "ingest/http/given_ids.hpp"
#include "storage/records/exact_json.hpp"
#include "storage/records/json_writer.hpp"
#include "storage/records/python_text.hpp"
#include "storage/records/trace_record.hpp"
#include "storage/store/store.hpp"
#include "storage/store/trace_usage.hpp"

namespace assay {
namespace {

namespace json = boost::json;

// Without a view: what has come through this door a moment ago.
Task<bool> is_known(MlflowDoor& door, std::string trace_id) {
  if (door.recent.find(trace_id)) co_return true;
  if (!door.view) co_return false;
  const auto applied = co_await door.view->applied(door.config.view_wait);
  const auto row = Store(door.view->kv()).trace(trace_id);
  co_return applied&& row&&* row;
}

Task<Response> put(MlflowDoor& door, Request& request) {
  const std::string experiment(request.params[0]), trace_id(request.params[1]);
  if (const auto problem = problem_with_id("trace_id", trace_id)) co_return error_response(request.path, *problem);
  if (door.config.server_behind) {
    const bool known = co_await is_known(door, trace_id);
    if (!known) co_return error_response(does_not_exist("Trace with ID '" + trace_id + "' not found."));
  }
  json::parse_options options;
  options.max_depth = 64;
  boost::system::error_code ec;
  const auto parsed = parse_json({request.body.data(), request.body.size()}, ec, options);
  const auto* spans = !ec && parsed.is_object() ? parsed.get_object().if_contains("spans") : nullptr;
  if (!spans || !spans->is_array())
    co_return error_response(invalid_parameter("the body is not a trace's data: {\"spans\": [...]}"));
  if (spans->get_array().size() > trace_spans_max)
    co_return error_response(request.path, 413, "a trace holds at most " + std::to_string(trace_spans_max) + " spans");
  for (const auto& span : spans->get_array()) {
    const auto* id = span.is_object() ? span.get_object().if_contains("span_id") : nullptr;
    if (!id || !id->is_string() || id->get_string().empty())
      co_return error_response(invalid_parameter("spans: one of them has no span_id"));
  }
  // Nothing but the spans: what is said of the trace comes by StartTraceV3.
  TraceRecord record{.from_spans = true, .trace_id = trace_id, .accepted_at = door.clock.now()};
  JsonWriter(record.info).begin_object().field("trace_id", trace_id).end_object();
  record.spans = python_json(*spans, {.ascii = false});
  auto log_record = to_record(record);
  const auto appended = co_await door.log.append(std::move(log_record));
  if (!appended) co_return error_response(request.path, appended.error());
  co_return durable(door, "{}");
}

Task<Response> get(MlflowDoor& door, Request& request) {
  const std::string trace_id(request.params[1]);
  auto refused = co_await ready_to_read(door, request);
  if (refused) co_return std::move(*refused);
  const auto spans = Store(door.view->kv()).spans(trace_id);
  if (!spans) co_return read_failed(request, spans.error());
  if (*spans == "[]") co_return error_response(does_not_exist("Trace data not found for trace_id=" + trace_id));
  co_return answer(R"({"spans":)" + *spans + "}");
}

}  // namespace

void add_artifact_routes(Router& router, MlflowDoor& door) {
  const std::string path = "2.0/mlflow-artifacts/artifacts/{experiment}/traces/{trace_id}/artifacts/traces.json";
  add_mlflow(router, http::verb::put, path, [&door](Request& r) { return put(door, r); },
             {.scope = Scope::trace,
              .admission = Admission::Kind::trace,
              .body_bytes_max = door.config.spans_bytes_max,
              .else_behind = true});
  add_mlflow(router, http::verb::get, path, [&door](Request& r) { return get(door, r); },
             {.scope = Scope::read, .else_behind = true});
}

}  // namespace assay
