// How requests are framed: what is read, and what is refused unread.
#include "tests/unit/ingest/server_fixture.hpp"

namespace assay::server_test {
namespace {

TEST_F(HttpServer, AnswersOneRequestAfterAnotherOnOneConnection) {
  start();
  RawClient c(server->port());
  for (int i = 0; i < 3; ++i) {
    const auto response = c.ask(post("/echo", "abc"));
    EXPECT_EQ(status(response), "HTTP/1.1 200");
    EXPECT_EQ(body(response), "abc");
    EXPECT_NE(response.find("Date: "), response.npos);
    EXPECT_NE(response.find("Server: assay\r\n"), response.npos);
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
  EXPECT_EQ(status(answer_to(head + "ffffff\r\nabc")), "HTTP/1.1 413") << "what is announced need not come";
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
  ASSERT_TRUE(c.send("POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"));
  EXPECT_EQ(c.read_response(true), "HTTP/1.1 100 Continue\r\n\r\n");
  ASSERT_TRUE(c.send("3\r\nabc\r\n"));
  EXPECT_EQ(body(c.ask("1\r\nd\r\n0\r\n\r\n" + std::string(get_hello))), "abcd");
  EXPECT_EQ(body(c.read_response()), "\"hello\"") << "what came behind the last chunk";
}

TEST_F(HttpServer, AnswersHeadWithoutABody) {
  start();
  RawClient c(server->port());
  ASSERT_TRUE(c.send("HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n"));
  const auto head = c.read_response(true);
  EXPECT_NE(head.find("Content-Length: 7\r\n"), head.npos);
  EXPECT_EQ(body(c.ask(get_hello)), "\"hello\"");
  ASSERT_TRUE(c.send("HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n"));
  c.read_response(true);
  EXPECT_NE(body(c.ask("GET /hello HTTP/1.1\r\n\r\n")), "") << "what follows a HEAD is told what is wrong";
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
      line + "Authorization: Bearer a\r\nauthorization: Bearer b\r\n\r\n",
      line + "Origin: http://x\r\nOrigin: http://y\r\n\r\n",
      line + "no colon\r\n\r\n",
      "POST /echo HTTP/1.1\r\n\r\n",
      " POST /echo HTTP/1.1\r\nHost: x\r\n\r\n",
      "POST  /echo HTTP/1.1\r\nHost: x\r\n\r\n",
      "POST /echo  HTTP/1.1\r\nHost: x\r\n\r\n",
      "POST /echo\tHTTP/1.1\r\nHost: x\r\n\r\n",
      "POST /e\0cho HTTP/1.1\r\nHost: x\r\n\r\n"s,
      "POST /echo#f HTTP/1.1\r\nHost: x\r\n\r\n",
      "POST echo HTTP/1.1\r\nHost: x\r\n\r\n",
      "POST http:///echo HTTP/1.1\r\nHost: x\r\n\r\n",
      "POST http://ana@x/echo HTTP/1.1\r\nHost: x\r\n\r\n",
      "POST /item/\xff HTTP/1.1\r\nHost: x\r\n\r\n",
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

TEST_F(HttpServer, TakesWhatNamesAHostAndNothingElse) {
  start();
  const auto answer_for = [&](const std::string& host) {
    return status(answer_to("GET /hello HTTP/1.1\r\nHost: " + host + "\r\n\r\n"));
  };
  for (const auto* host : {"", "x", "x:80", "x:", "a_b.example", "127.0.0.1:8080", "[::1]", "[::1]:8080",
                           "[::ffff:127.0.0.1]:1", "xn--bcher-kva.example", "%41"})
    EXPECT_EQ(answer_for(host), "HTTP/1.1 200") << host;
  for (const auto* host : {"a b", "a/b", "ana@x", "x:y", "x:65536", "x:-1", "x,y", "127.0.0.1:evil.example", "x:80:80",
                           ":80", "[::1", "[]", "[x y]", "[::1]x", "x?y", "x#y", "a\\b", "<x>", "b\xc3\xbc"})
    EXPECT_EQ(answer_for(host), "HTTP/1.1 400") << host;
}

TEST_F(HttpServer, ReadsATargetAsItIsSentToProxies) {
  start();
  const auto answer_for = [&](const std::string& target) {
    return body(answer_to("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n"));
  };
  EXPECT_EQ(answer_for("http://x/hello"), "\"hello\"");
  EXPECT_EQ(answer_for("HTTPS://x:1/hello?a=b"), "\"hello\"");
  EXPECT_NE(answer_for("http://x?a=b").find("404"), std::string::npos) << "the root, which is not here";
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

}  // namespace
}  // namespace assay::server_test
