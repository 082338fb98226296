// The HTTP server, spoken to in raw bytes over loopback.
#include "tests/unit/ingest/server_fixture.hpp"

namespace assay::server_test {
namespace {

TEST_F(HttpServer, FindsParametersAndSaysWhatAPathTakes) {
  start();
  EXPECT_EQ(body(answer_to("GET /item/a%2Fb%20c HTTP/1.1\r\nHost: x\r\n\r\n")), "a/b c");
  EXPECT_EQ(status(answer_to("GET /item/ HTTP/1.1\r\nHost: x\r\n\r\n")), "HTTP/1.1 404");
  for (const std::string none : {"/nothing", "/item/%ff", "/item/%zz"})
    EXPECT_EQ(status(answer_to("GET " + none + " HTTP/1.1\r\nHost: x\r\n\r\n")), "HTTP/1.1 404") << none;
  const auto wrong = answer_to("DELETE /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(status(wrong), "HTTP/1.1 405");
  EXPECT_NE(wrong.find("Allow: GET, HEAD\r\n"), wrong.npos);
  EXPECT_NE(wrong.find("application/problem+json"), wrong.npos);
  EXPECT_EQ(status(answer_to("BREW /hello HTTP/1.1\r\nHost: x\r\n\r\n")), "HTTP/1.1 405");
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

TEST_F(HttpServer, LargeBodiesThatAreOnlyAnnouncedLeaveRoomForFeedback) {
  router.add(http::verb::post, "/spans", [](Request&) -> Task<Response> { co_return Response(); },
             {.scope = Scope::open, .admission = Admission::Kind::trace, .body_bytes_max = 16u << 20});
  limits.bytes_max = 1u << 20;
  start();
  const auto announced = [](int bytes) {
    return "POST /spans HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(bytes) + "\r\n\r\n";
  };
  RawClient first(server->port());
  ASSERT_TRUE(first.send(announced(400'000)));
  await_in_flight(400'000);
  EXPECT_EQ(status(answer_to(announced(400'000))), "HTTP/1.1 503");
  EXPECT_EQ(status(answer_to(announced(600'000))), "HTTP/1.1 413") << "there will never be room for it";
  EXPECT_EQ(status(answer_to(post("/echo", std::string(60'000, 'x')))), "HTTP/1.1 200");
}

TEST_F(HttpServer, ABodyInChunksIsCountedAsItComes) {
  limits.bytes_max = 100'000;
  start();
  const std::string_view head = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string piece = "7530\r\n" + std::string(0x7530, 'x') + "\r\n";
  RawClient first(server->port()), second(server->port()), third(server->port());
  ASSERT_TRUE(first.send(head));
  await_in_flight(head.size());
  EXPECT_EQ(admission->bytes_in_flight(), head.size()) << "nothing has come yet";
  ASSERT_TRUE(first.send(piece + piece));
  await_in_flight(60'000);
  ASSERT_TRUE(second.send(std::string(head) + piece + piece));
  const auto no = second.read_response();
  EXPECT_EQ(status(no), "HTTP/1.1 503");
  EXPECT_NE(no.find("Retry-After: 1\r\n"), no.npos);
  EXPECT_TRUE(second.closes());
  EXPECT_EQ(status(third.ask(std::string(head) + "3\r\nabc\r\n0\r\n\r\n")), "HTTP/1.1 200");
  ASSERT_TRUE(first.send("0\r\n\r\n"));
  EXPECT_EQ(body(first.read_response()).size(), 60'000u);
}

TEST_F(HttpServer, LargeAnswersThatNobodyTakesAreBounded) {
  limits.bytes_max = large_bytes * 3 / 2;
  start();
  constexpr std::string_view get_large = "GET /large HTTP/1.1\r\nHost: x\r\n\r\n";
  {
    RawClient idle(server->port());
    ASSERT_TRUE(idle.send(get_large));
    await_metric("assay_ingest_answer_bytes " + std::to_string(large_bytes));
    const auto later = answer_to(get_large);
    EXPECT_EQ(status(later), "HTTP/1.1 503");
    EXPECT_NE(later.find("Retry-After: "), later.npos) << later;
    RawClient asks(server->port());
    ASSERT_TRUE(asks.send("HEAD /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    EXPECT_EQ(status(asks.read_until_closed()), "HTTP/1.1 200") << "nothing is held";
    EXPECT_EQ(body(answer_to(get_hello)), "\"hello\"");
  }
  await_metric("assay_ingest_answer_bytes 0");
  EXPECT_EQ(body(answer_to(get_large)).size(), large_bytes);
}

TEST_F(HttpServer, AnAnswerLargerThanTheirRoomIsGivenAlone) {
  limits.bytes_max = large_bytes / 2;
  start();
  EXPECT_EQ(body(answer_to("GET /large HTTP/1.1\r\nHost: x\r\n\r\n")).size(), large_bytes);
}

TEST_F(HttpServer, CountsWhoLeavesBeforeItIsAnswered) {
  start();
  RawClient(server->port()).send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab");
  RawClient(server->port()).send("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab");
  await_metric(R"(assay_ingest_requests_total{class="4xx",route="POST /echo"} 2)");
  RawClient(server->port()).send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
  await_metric(R"(assay_ingest_requests_total{class="4xx",route="GET /large"} 1)");
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
  for (const auto* line : {R"({reason="log_full"} 2)", R"({reason="log_unavailable"} 2)",
                           R"({reason="over_capacity"} 1)", R"({reason="log_late"} 1)"})
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
  EXPECT_EQ(status(c.ask("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")), "HTTP/1.1 200");
  const auto late = c.ask(post("/waits", "abc"));
  EXPECT_EQ(status(late), "HTTP/1.1 503");
  EXPECT_EQ(late.find("Transfer-Encoding"), late.npos) << "framed as the stream before it";
  EXPECT_TRUE(c.closes());
  gate.open();  // and the handler ends in peace
  server->begin_drain();
  EXPECT_TRUE(server->wait(10s));
}

// As long as the log hangs, this is all that shows it: alerts look at both.
TEST_F(HttpServer, CountsWhatIsNotDoneInTimeAsLateUnderItsRoute) {
  config.request_timeout = 50ms;
  const auto wait = [this](Request&) -> Task<Response> {
    co_await gate.pass();
    co_return Response();
  };
  router.add(http::verb::post, "/says", wait, {.scope = Scope::feedback});
  router.add(http::verb::get, "/slow", wait, {.scope = Scope::read});
  start();
  RawClient writes(server->port()), reads(server->port());
  EXPECT_EQ(status(writes.ask(post("/says", "abc"))), "HTTP/1.1 503");
  EXPECT_EQ(status(reads.ask("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")), "HTTP/1.1 503");
  gate.open();
  server->begin_drain();
  ASSERT_TRUE(server->wait(10s));
  const auto text = metrics.text();
  for (const auto* line : {R"(assay_ingest_overdue_total 2)", R"(assay_ingest_refused_total{reason="log_late"} 1)",
                           R"(assay_ingest_requests_total{class="5xx",route="POST /says"} 1)",
                           R"(assay_ingest_requests_total{class="5xx",route="GET /slow"} 1)",
                           R"(assay_ingest_request_seconds_count{route="POST /says"} 1)",
                           R"(assay_ingest_requests_total{class="5xx",route="none"} 0)"})
    EXPECT_NE(text.find(std::string(line) + "\n"), text.npos) << line << text;
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
  EXPECT_NE(no.find("\r\nContent-Type: application/problem+json\r\nRetry-After: 1\r\n"), no.npos) << no;
  EXPECT_NE(body(no).find("too many connections"), no.npos) << no;
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
}  // namespace assay::server_test
