#include "ingest/health.hpp"

#include "storage/records/json_writer.hpp"

namespace assay {
namespace {

Response live(const Health& health) {
  const bool alive = health.live();
  return {.status = alive ? 200u : 503u, .body = alive ? R"({"status":"ok"})" : R"({"status":"stuck"})"};
}

Response ready(const Health& health) {
  Response response;
  bool all = !health.draining();
  std::string checks;
  JsonWriter list(checks);
  list.begin_object().field("serving", all ? "ok" : "draining");
  for (const auto& [name, check] : health.checks) {
    const auto result = check();
    all = all && result;
    list.field(name, result ? std::string("ok") : result.error().message());
  }
  list.end_object();
  response.status = all ? 200 : 503;
  JsonWriter(response.body)
      .begin_object()
      .field("status", all ? "ready" : "not ready")
      .raw_field("checks", checks)
      .end_object();
  return response;
}

}  // namespace

void add_health_routes(Router& router, const Health& health, Metrics& metrics) {
  const RouteOptions always{.scope = Scope::open, .admission = {}, .body_bytes_max = 0};
  const RouteOptions figures{.scope = Scope::read, .admission = {}, .body_bytes_max = 0};
  router.add(
      http::verb::get, "/livez", [&health](Request&) -> Task<Response> { co_return live(health); }, always);
  router.add(
      http::verb::get, "/readyz", [&health](Request&) -> Task<Response> { co_return ready(health); }, always);
  router.add(
      http::verb::get, "/metrics",
      [&metrics](Request&) -> Task<Response> {
        co_return Response{.content_type = "text/plain; version=0.0.4", .body = metrics.text()};
      },
      figures);
}

}  // namespace assay
