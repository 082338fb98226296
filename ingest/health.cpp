#include "ingest/health.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>

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
  for (const auto& [name, check, scarce] : health.checks) {
    const auto result = check();
    all = all && result;
    const auto* good = scarce && scarce() ? "ok: its room is feedback's alone" : "ok";
    list.field(name, result ? good : result.error().message());
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

// Making the page of all figures takes milliseconds: who asks for it thousands of times a second gets the last one, so
// that others are answered meanwhile. Thread-safe.
class MetricsPage {
 public:
  explicit MetricsPage(Metrics& metrics) : metrics_(metrics) {}

  std::shared_ptr<const std::string> text() {
    {
      const std::scoped_lock lock(mutex_);
      const auto now = std::chrono::steady_clock::now();
      const std::chrono::duration<double> since = now - counted_at_;
      allowed_ = std::min(burst, allowed_ + since.count() * fresh_per_second);
      counted_at_ = now;
      if (allowed_ < 1 && last_) return last_;
      allowed_ -= 1;
    }
    auto made = std::make_shared<const std::string>(metrics_.text());
    const std::scoped_lock lock(mutex_);
    return last_ = std::move(made);
  }

 private:
  static constexpr double fresh_per_second = 50, burst = 100;
  Metrics& metrics_;
  std::mutex mutex_;
  double allowed_ = burst;
  std::chrono::steady_clock::time_point counted_at_ = std::chrono::steady_clock::now();
  std::shared_ptr<const std::string> last_;
};

}  // namespace

std::string Health::not_ready() const {
  if (draining()) return "draining";
  for (const auto& one : checks)
    if (const auto result = one.check(); !result) return one.name + ": " + result.error().message();
  return {};
}

void add_health_routes(Router& router, const Health& health, Metrics& metrics) {
  const RouteOptions always{.scope = Scope::open, .admission = {}, .body_bytes_max = 0};
  const RouteOptions figures{.scope = Scope::read, .admission = {}, .body_bytes_max = 0};
  router.add(
      http::verb::get, "/livez", [&health](Request&) -> Task<Response> { co_return live(health); }, always);
  router.add(
      http::verb::get, "/readyz", [&health](Request&) -> Task<Response> { co_return ready(health); }, always);
  router.add(
      http::verb::get, "/metrics",
      [page = std::make_shared<MetricsPage>(metrics)](Request&) -> Task<Response> {
        Response response{.content_type = "text/plain; version=0.0.4", .shared = page->text()};
        co_return response;
      },
      figures);
}

}  // namespace assay
