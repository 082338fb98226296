#pragma once
// A server on loopback with routes of the test's own, and a client that says bytes.
#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <future>

#include "ingest/server/server.hpp"
#include "ops/runtime/error.hpp"
#include "tests/support/raw_client.hpp"

namespace assay::server_test {

using namespace std::chrono_literals;

// A handler waits in it until the test opens it; from any thread.
class HandlerGate {
 public:
  Task<void> pass() {
    auto initiate = [this](auto handler) {
      std::scoped_lock lock(mutex_);
      ++waiting_;
      waiters_.push_back(
          [handler = std::make_shared<decltype(handler)>(std::move(handler)), executor = executor_]() mutable {
            asio::post(executor, [handler] { std::move (*handler)(); });
          });
      changed_.notify_all();
    };
    executor_ = co_await asio::this_coro::executor;
    co_await asio::async_initiate<const asio::use_awaitable_t<Executor>&, void()>(std::move(initiate), use_task);
  }
  void await_waiting(int n) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, 10s, [&] { return waiting_ >= n; }));
  }
  void open() {
    std::scoped_lock lock(mutex_);
    for (auto& resume : waiters_) resume();
    waiters_.clear();
  }

 private:
  Executor executor_ = IoContext().get_executor();
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::function<void()>> waiters_;
  int waiting_ = 0;
};

class HttpServer : public ::testing::Test {
 protected:
  // Its threads end before what their sessions use, of a fixture built on this, and their contexts go after it: it may
  // keep connections of theirs.
  void TearDown() override {
    if (!server) return;
    server->insist();
    EXPECT_TRUE(server->wait(10s));
  }
  void SetUp() override {
    config.port = 0;
    config.sweep_interval = 5ms;
    const RouteOptions anyone{.scope = Scope::open};
    router.add(
        http::verb::post, "/echo",
        [](Request& r) -> Task<Response> { co_return Response{.body = std::string(r.body)}; }, anyone);
    router.add(
        http::verb::get, "/hello", [](Request&) -> Task<Response> { co_return Response{.body = "\"hello\""}; }, anyone);
    router.add(
        http::verb::get, "/item/{id}",
        [](Request& r) -> Task<Response> { co_return Response{.body = std::string(r.params[0])}; }, anyone);
    router.add(
        http::verb::get, "/fails",
        [](Request&) -> Task<Response> {
          throw std::runtime_error("a bug");
          co_return Response{};
        },
        anyone);
    router.add(
        http::verb::post, "/refuses",
        [this](Request& r) -> Task<Response> { co_return error_response(r.path, refusal); }, anyone);
    router.add(
        http::verb::post, "/waits",
        [this](Request& r) -> Task<Response> {
          co_await gate.pass();
          co_return Response{.body = std::string(r.body)};
        },
        anyone);
    router.add(http::verb::get, "/large",
               [](Request&) -> Task<Response> { co_return Response{.body = std::string(large_bytes, 'x')}; },
               {.scope = Scope::read});
    router.add_stream(
        http::verb::get, "/stream",
        [](Request&, ResponseStream& stream) -> Task<void> {
          const std::vector<std::pair<std::string_view, std::string>> headers{{"X-Trace-Id", "tr-1"}};
          if (!co_await stream.begin(200, "text/event-stream", headers)) co_return;
          for (int i = 0; i < 3; ++i)
            if (!co_await stream.write("data: x\n\n")) co_return;
          co_await stream.end();
        },
        anyone);
    router.add_stream(
        http::verb::get, "/cut",
        [](Request&, ResponseStream& stream) -> Task<void> {
          if (!co_await stream.begin(200, "text/event-stream", {})) co_return;
          co_await stream.write("half");
        },
        anyone);
    router.add_stream(
        http::verb::get, "/flood",
        [this](Request&, ResponseStream& stream) -> Task<void> {
          const std::string block(64 << 10, 'x');
          auto written = co_await stream.begin(200, "text/plain", {});
          while (written) written = co_await stream.write(block);
          flood_ended.set_value(written.error());
        },
        anyone);
  }
  void start(TlsSlot* tls = nullptr) {
    admission.emplace(limits);
    server.emplace(config, router, *admission, clock, metrics, nullptr, tls);
    ASSERT_TRUE(server->start());
  }
  RawClient client() { return RawClient(server->port()); }
  void await_in_flight(std::size_t bytes) {
    const auto until = std::chrono::steady_clock::now() + 10s;
    while (admission->bytes_in_flight() < bytes && std::chrono::steady_clock::now() < until)
      std::this_thread::sleep_for(1ms);
    ASSERT_GE(admission->bytes_in_flight(), bytes);
  }
  std::string answer_to(std::string_view bytes) {
    RawClient c(server->port());
    c.send(bytes);
    return c.read_response();
  }

  // Its line in the metrics, once it is there.
  void await_metric(const std::string& line) {
    const auto until = std::chrono::steady_clock::now() + 10s;
    while (metrics.text().find("\n" + line + "\n") == std::string::npos && std::chrono::steady_clock::now() < until)
      std::this_thread::sleep_for(1ms);
    ASSERT_NE(metrics.text().find("\n" + line + "\n"), std::string::npos) << line << metrics.text();
  }

  static constexpr std::size_t large_bytes = 32u << 20;  // no socket holds as much
  HttpConfig config;
  error_code refusal;
  AdmissionLimits limits;
  SystemClock clock;
  Metrics metrics;
  Router router;
  HandlerGate gate;
  std::promise<error_code> flood_ended;
  std::optional<Admission> admission;
  std::optional<Server> server;
};

inline std::string status(const std::string& response) { return response.substr(0, 12); }
inline std::string body(const std::string& response) { return response.substr(response.find("\r\n\r\n") + 4); }
inline std::string post(std::string_view path, std::string_view body, std::string_view more = "") {
  return "POST " + std::string(path) + " HTTP/1.1\r\nHost: x\r\n" + std::string(more) +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}
constexpr std::string_view get_hello = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";

}  // namespace assay::server_test
