// The HTTP server, spoken to in raw bytes over loopback.
#include "ingest/server/server.hpp"

#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <future>

#include "ops/runtime/error.hpp"
#include "tests/support/raw_client.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;

// A handler waits in it until the test opens it; from any thread.
class Gate {
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
  void start() {
    admission.emplace(limits);
    server.emplace(config, router, *admission, clock, metrics);
    ASSERT_TRUE(server->start());
  }
  RawClient client() { return RawClient(server->port()); }
  std::string answer_to(std::string_view bytes) {
    RawClient c(server->port());
    c.send(bytes);
    return c.read_response();
  }

  HttpConfig config;
  error_code refusal;
  AdmissionLimits limits;
  SystemClock clock;
  Metrics metrics;
  Router router;
  Gate gate;
  std::promise<error_code> flood_ended;
  std::optional<Admission> admission;
  std::optional<Server> server;
};

std::string status(const std::string& response) { return response.substr(0, 12); }
std::string body(const std::string& response) { return response.substr(response.find("\r\n\r\n") + 4); }
std::string post(std::string_view path, std::string_view body, std::string_view more = "") {
  return "POST " + std::string(path) + " HTTP/1.1\r\nHost: x\r\n" + std::string(more) +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}
constexpr std::string_view get_hello = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";

TEST_F(HttpServer, AnswersOneRequestAfterAnotherOnOneConnection) {
  start();
  RawClient c(server->port());
  for (int i = 0; i < 3; ++i) {
    const auto response = c.ask(post("/echo", "abc"));
    EXPECT_EQ(status(response), "HTTP/1.1 200");
    EXPECT_EQ(body(response), "abc");
    EXPECT_NE(response.find("Date: "), response.npos);
    EXPECT_EQ(response.find("Connection: close"), response.npos);
  }
}

TEST_F(HttpServer, AnswersPipelinedRequestsInOrder) {
  start();
  RawClient c(server->port());
  std::string all;
  for (int i = 0; i < 200; ++i)
    all += post("/echo", std::string(static_cast<std::size_t>(i * 7), 'a') + std::to_string(i));
  auto sending = std::async(std::launch::async, [&] { return c.send(all); });
  for (int i = 0; i < 200; ++i) {
    const auto response = c.read_response();
    ASSERT_EQ(body(response), std::string(static_cast<std::size_t>(i * 7), 'a') + std::to_string(i));
  }
  EXPECT_TRUE(sending.get());
}

TEST_F(HttpServer, ReadsARequestThatComesByteByByte) {
  start();
  RawClient c(server->port());
  for (const auto byte : post("/echo", "hello")) ASSERT_TRUE(c.send({&byte, 1}));
  EXPECT_EQ(body(c.read_response()), "hello");
}

TEST_F(HttpServer, ReadsChunkedBodies) {
  start();
  RawClient c(server->port());
  const std::string head = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  const auto first = c.ask(head + "3\r\nabc\r\n4;name=value\r\ndefg\r\n0\r\nTrailer: x\r\n\r\n");
  EXPECT_EQ(body(first), "abcdefg");
  for (const auto byte : head + "3\r\nabc\r\n0\r\n\r\n") ASSERT_TRUE(c.send({&byte, 1}));
  EXPECT_EQ(body(c.read_response()), "abc");
  EXPECT_EQ(body(c.ask(get_hello)), "\"hello\"");
}

TEST_F(HttpServer, RefusesChunksOverTheLimitAndBrokenOnes) {
  start();
  const std::string head = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  std::string many = head;
  for (int i = 0; i < 70; ++i) many += "400\r\n" + std::string(1024, 'x') + "\r\n";
  EXPECT_EQ(status(answer_to(many)), "HTTP/1.1 413");
  EXPECT_EQ(status(answer_to(head + "zz\r\nabc\r\n")), "HTTP/1.1 400");
  EXPECT_EQ(status(answer_to(head + "ffffffffffffffffff\r\nabc\r\n")), "HTTP/1.1 400");
  EXPECT_EQ(status(answer_to(head + "3\r\nabcXX\r\n0\r\n\r\n")), "HTTP/1.1 400");
  EXPECT_EQ(status(answer_to(head + "1;" + std::string(64 << 10, 'e'))), "HTTP/1.1 400");
}

TEST_F(HttpServer, AsksForTheBodyOfAClientThatWaits) {
  start();
  RawClient c(server->port());
  ASSERT_TRUE(c.send("POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"));
  EXPECT_EQ(c.read_response(true), "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_EQ(body(c.ask("abc")), "abc");
}

TEST_F(HttpServer, AnswersHeadWithoutABody) {
  start();
  RawClient c(server->port());
  ASSERT_TRUE(c.send("HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n"));
  const auto head = c.read_response(true);
  EXPECT_NE(head.find("Content-Length: 7\r\n"), head.npos);
  EXPECT_EQ(body(c.ask(get_hello)), "\"hello\"");
}

TEST_F(HttpServer, ClosesAfterHttp10UnlessAskedToStay) {
  start();
  RawClient c(server->port());
  const auto first = c.ask("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_NE(first.find("Connection: keep-alive"), first.npos);
  const auto second = c.ask("GET /hello HTTP/1.0\r\n\r\n");
  EXPECT_NE(second.find("Connection: close"), second.npos);
  EXPECT_TRUE(c.closes());
}

TEST_F(HttpServer, FindsParametersAndSaysWhatAPathTakes) {
  start();
  EXPECT_EQ(body(answer_to("GET /item/a%2Fb%20c HTTP/1.1\r\nHost: x\r\n\r\n")), "a/b c");
  EXPECT_EQ(status(answer_to("GET /item/ HTTP/1.1\r\nHost: x\r\n\r\n")), "HTTP/1.1 404");
  EXPECT_EQ(status(answer_to("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")), "HTTP/1.1 404");
  const auto wrong = answer_to("DELETE /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(status(wrong), "HTTP/1.1 405");
  EXPECT_NE(wrong.find("Allow: GET, HEAD\r\n"), wrong.npos);
  EXPECT_NE(wrong.find("application/problem+json"), wrong.npos);
  EXPECT_EQ(status(answer_to("BREW /hello HTTP/1.1\r\nHost: x\r\n\r\n")), "HTTP/1.1 405");
}

// What two readers could frame in two ways is refused, and the connection closed before anything behind it is read.
TEST_F(HttpServer, RefusesWhatCouldBeSmuggled) {
  start();
  const std::string behind = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
  const std::string line = "POST /echo HTTP/1.1\r\nHost: x\r\n";
  using namespace std::string_literals;
  const std::vector<std::string> payloads{
      line + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      line + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
      line + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
      line + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
      line + "Content-Length: 3, 3\r\n\r\nabc",
      line + "Content-Length: +3\r\n\r\nabc",
      line + "Content-Length: 0x3\r\n\r\nabc",
      line + "Content-Length: -1\r\n\r\n",
      line + "Content-Length: 99999999999999999999999\r\n\r\n",
      line + "Content-Length:\r\n\r\n",
      line + "Content-Length : 3\r\n\r\nabc",
      line + "Content-Length: 3\n\r\nabc",
      line + "Content-Length: 3\r\n\nabc",
      line + "X: a\r\n Content-Length: 3\r\n\r\nabc",
      line + "X: a\r\n\tb\r\n\r\n",
      line + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
      line + "Transfer-Encoding: identity\r\n\r\n",
      line + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
      line + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      line + "Transfer-Encoding\x0b: chunked\r\n\r\n",
      line + "X: a\0b\r\n\r\n"s,
      line + "X\0: a\r\n\r\n"s,
      line + "X: a\rb\r\n\r\n",
      line + ": a\r\n\r\n",
      line + "Host: y\r\n\r\n",
      line + "no colon\r\n\r\n",
      "POST /echo HTTP/1.1\r\n\r\n",
      " POST /echo HTTP/1.1\r\nHost: x\r\n\r\n",
      "POST  /echo HTTP/1.1\r\nHost: x\r\n\r\n",
      "POST /echo  HTTP/1.1\r\nHost: x\r\n\r\n",
      "POST /echo\tHTTP/1.1\r\nHost: x\r\n\r\n",
      "POST /e\0cho HTTP/1.1\r\nHost: x\r\n\r\n"s,
      "POST /echo#f HTTP/1.1\r\nHost: x\r\n\r\n",
      "POST echo HTTP/1.1\r\nHost: x\r\n\r\n",
      "POST /echo HTTP/2.0\r\nHost: x\r\n\r\n",
      "POST /echo HTTP/1.2\r\nHost: x\r\n\r\n",
      "POST /echo\r\nHost: x\r\n\r\n",
      "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      "\x16\x03\x01\x02\x00\x01\x00\n",
      line + "Expect: something\r\nContent-Length: 3\r\n\r\nabc",
  };
  for (const auto& payload : payloads) {
    RawClient c(server->port());
    c.send(payload + behind);
    const auto all = c.read_until_closed();
    EXPECT_EQ(status(all), "HTTP/1.1 400") << payload;
    EXPECT_EQ(all.find("hello"), all.npos) << payload;
    EXPECT_EQ(all.find("HTTP/1.1", 8), all.npos) << payload;
  }
  EXPECT_EQ(body(answer_to(get_hello)), "\"hello\"");
}

TEST_F(HttpServer, RefusesFloodsOfHeaders) {
  start();
  const std::string line = "GET /hello HTTP/1.1\r\nHost: x\r\n";
  std::string fields;
  for (int i = 0; i < 120; ++i) fields += "X-" + std::to_string(i) + ": a\r\n";
  EXPECT_EQ(status(answer_to(line + fields + "\r\n")), "HTTP/1.1 431");
  EXPECT_EQ(status(answer_to(line + "X: " + std::string(40 << 10, 'a') + "\r\n\r\n")), "HTTP/1.1 431");
  EXPECT_EQ(status(answer_to("GET /" + std::string(9 << 10, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n")), "HTTP/1.1 414");
  EXPECT_EQ(status(answer_to(std::string(1 << 20, 'a'))), "HTTP/1.1 414");
}

TEST_F(HttpServer, RefusesATenMegabyteBodyAndLetsTheClientReadWhy) {
  start();
  RawClient c(server->port());
  c.send(post("/echo", std::string(10 << 20, 'x')));
  EXPECT_EQ(status(c.read_response()), "HTTP/1.1 413");
  EXPECT_TRUE(c.closes());
}

TEST_F(HttpServer, SaysNoBeforeTheBodyWhenItIsFull) {
  limits.requests_max = 1;
  start();
  RawClient busy(server->port());
  ASSERT_TRUE(busy.send(post("/waits", "abc")));
  gate.await_waiting(1);
  {
    RawClient c(server->port());  // a small body is read away, the connection lives on
    const auto no = c.ask(post("/echo", "abc"));
    EXPECT_EQ(status(no), "HTTP/1.1 503");
    EXPECT_NE(no.find("Retry-After: 1\r\n"), no.npos);
    EXPECT_EQ(status(c.ask(post("/echo", "abc"))), "HTTP/1.1 503");
  }
  {
    RawClient c(server->port());  // without a byte of the body
    ASSERT_TRUE(c.send("POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"));
    EXPECT_EQ(status(c.read_response()), "HTTP/1.1 503");
    EXPECT_TRUE(c.closes());
  }
  gate.open();
  EXPECT_EQ(body(busy.read_response()), "abc");
  EXPECT_EQ(body(busy.ask(post("/echo", "d"))), "d");
  server->begin_drain();
  ASSERT_TRUE(server->wait(10s));
  EXPECT_EQ(admission->bytes_in_flight(), 0u);
  EXPECT_EQ(admission->requests_in_flight(), 0u);
}

TEST_F(HttpServer, CountsWhatAHandlerRefusesForWantOfRoomByItsReason) {
  start();
  RawClient c(server->port());
  for (const auto error : {Error::log_full, Error::log_full, Error::log_unavailable, Error::log_changed,
                           Error::over_capacity, Error::timed_out, Error::over_quota}) {
    refusal = error;
    c.ask(post("/refuses", "abc"));
  }
  const auto text = metrics.text();
  for (const auto* line :
       {R"({reason="log_full"} 2)", R"({reason="log_unavailable"} 2)", R"({reason="over_capacity"} 1)"})
    EXPECT_NE(text.find("assay_ingest_refused_total" + std::string(line) + "\n"), text.npos) << line << text;
}

TEST_F(HttpServer, EndsSlowHeadersBodiesAndIdleConnections) {
  config.header_timeout = config.body_timeout = config.idle_timeout = config.linger_timeout = 50ms;
  start();
  RawClient header(server->port()), slow_body(server->port()), idle(server->port());
  ASSERT_TRUE(header.send("GET /hello HTT"));
  ASSERT_TRUE(slow_body.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"));
  EXPECT_EQ(status(header.read_response()), "HTTP/1.1 408");
  EXPECT_TRUE(header.closes());
  EXPECT_EQ(status(slow_body.read_response()), "HTTP/1.1 408");
  EXPECT_TRUE(slow_body.closes());
  EXPECT_TRUE(idle.closes());
}

TEST_F(HttpServer, TellsTheClientWhenAHandlerIsNotDoneInTime) {
  config.request_timeout = 50ms;
  start();
  RawClient c(server->port());
  EXPECT_EQ(status(c.ask(post("/waits", "abc"))), "HTTP/1.1 503");
  EXPECT_TRUE(c.closes());
  gate.open();  // and the handler ends in peace
  server->begin_drain();
  EXPECT_TRUE(server->wait(10s));
}

TEST_F(HttpServer, AnswersAHandlersExceptionWith500) {
  start();
  RawClient c(server->port());
  EXPECT_EQ(status(c.ask("GET /fails HTTP/1.1\r\nHost: x\r\n\r\n")), "HTTP/1.1 500");
  EXPECT_EQ(body(c.ask(get_hello)), "\"hello\"");
}

TEST_F(HttpServer, StreamsAndKeepsTheConnection) {
  start();
  RawClient c(server->port());
  const auto response = c.ask("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(response.find("X-Trace-Id: tr-1\r\n"), response.npos);
  EXPECT_NE(response.find("Transfer-Encoding: chunked\r\n"), response.npos);
  EXPECT_EQ(body(response), "9\r\ndata: x\n\n\r\n9\r\ndata: x\n\n\r\n9\r\ndata: x\n\n\r\n0\r\n\r\n");
  EXPECT_EQ(body(c.ask(get_hello)), "\"hello\"");
  RawClient old(server->port());
  ASSERT_TRUE(old.send("GET /stream HTTP/1.0\r\n\r\n"));
  EXPECT_EQ(body(old.read_until_closed()), "data: x\n\ndata: x\n\ndata: x\n\n");
}

TEST_F(HttpServer, CutsAStreamThatItsHandlerLeaves) {
  start();
  RawClient c(server->port());
  ASSERT_TRUE(c.send("GET /cut HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_EQ(body(c.read_until_closed()), "4\r\nhalf\r\n");
}

TEST_F(HttpServer, HoldsAWriterWhoseClientDoesNotReadAndEndsItWhenTheTimeIsUp) {
  config.write_timeout = 50ms;
  start();
  RawClient c(server->port());
  ASSERT_TRUE(c.send("GET /flood HTTP/1.1\r\nHost: x\r\n\r\n"));
  auto ended = flood_ended.get_future();
  ASSERT_EQ(ended.wait_for(10s), std::future_status::ready);
  EXPECT_EQ(ended.get(), Error::timed_out);
}

TEST_F(HttpServer, TellsAWriterThatItsClientIsGone) {
  start();
  {
    RawClient c(server->port());
    ASSERT_TRUE(c.send("GET /flood HTTP/1.1\r\nHost: x\r\n\r\n"));
  }
  auto ended = flood_ended.get_future();
  ASSERT_EQ(ended.wait_for(10s), std::future_status::ready);
  EXPECT_TRUE(ended.get());
}

TEST_F(HttpServer, DrainingAnswersWhatRunsAndClosesTheRest) {
  start();
  RawClient idle(server->port()), busy(server->port());
  EXPECT_EQ(body(idle.ask(get_hello)), "\"hello\"");
  ASSERT_TRUE(busy.send(post("/waits", "abc")));
  gate.await_waiting(1);
  const auto port = server->port();
  server->begin_drain();
  EXPECT_TRUE(idle.closes());
  EXPECT_FALSE(server->wait(20ms));
  gate.open();
  const auto response = busy.read_response();
  EXPECT_EQ(body(response), "abc");
  EXPECT_NE(response.find("Connection: close"), response.npos);
  EXPECT_TRUE(busy.closes());
  EXPECT_TRUE(server->wait(10s));
  EXPECT_FALSE(RawClient(port).connected());
}

TEST_F(HttpServer, InsistingEndsStreamsAndSlowClientsAtOnce) {
  start();
  RawClient flood(server->port()), half(server->port());
  ASSERT_TRUE(flood.send("GET /flood HTTP/1.1\r\nHost: x\r\n\r\n"));
  ASSERT_TRUE(half.send("GET /hello HT"));
  server->insist();
  EXPECT_TRUE(server->wait(10s));
}

TEST_F(HttpServer, RefusesConnectionsOverItsLimit) {
  config.connections_max = 2;
  start();
  RawClient a(server->port()), b(server->port());
  EXPECT_EQ(body(a.ask(get_hello)), "\"hello\"");
  EXPECT_EQ(body(b.ask(get_hello)), "\"hello\"");
  RawClient c(server->port());
  const auto no = c.read_response();
  EXPECT_EQ(status(no), "HTTP/1.1 503");
  EXPECT_EQ(body(a.ask(get_hello)), "\"hello\"");
}

TEST_F(HttpServer, ServesOnSeveralThreads) {
  config.threads = 3;
  start();
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 30; ++i) clients.push_back(std::make_unique<RawClient>(server->port()));
  for (auto& c : clients) EXPECT_EQ(body(c->ask(get_hello)), "\"hello\"");
  server->begin_drain();
  for (auto& c : clients) EXPECT_TRUE(c->closes());
  EXPECT_TRUE(server->wait(10s));
}

}  // namespace
}  // namespace assay
