// Bodies that are passed on by pieces, to the server behind this door.
#include "ingest/proxy/reverse_proxy.hpp"
#include "tests/support/scripted_server.hpp"
#include "tests/unit/ingest/server_fixture.hpp"

namespace assay::server_test {
namespace {

using test::ScriptedServer;

constexpr std::size_t taken_max = 1000;
constexpr std::string_view chunked = "POST /behind HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";

std::string chunk_of(std::size_t size) {
  char hex[20];
  std::snprintf(hex, sizeof hex, "%zx\r\n", size);
  return hex + std::string(size, 'x') + "\r\n";
}

// Answers what came as a whole.
void take(ScriptedServer::Conversation& c) {
  while (const auto bytes = c.read_request())
    if (bytes->ends_with("0\r\n\r\n") || bytes->find("Content-Length: ") != bytes->npos) c.answer("taken");
}

class PassingServer : public HttpServer {
 protected:
  void start_before(const std::string& url, std::size_t body_bytes_max) {
    proxy.emplace(ProxyConfig{.url = url}, metrics);
    const RouteOptions options{.scope = Scope::open, .body_bytes_max = body_bytes_max};
    auto pass = [this](Request& r, RequestBody& body, ResponseStream& answer) { return proxy->pass(r, body, answer); };
    router.set_behind(std::move(pass), options, options);
    start();
  }
  bool counted(const std::string& what, int n) {
    return metrics.text().find(what + "} " + std::to_string(n) + "\n") != std::string::npos;
  }
  bool answered(char status_class, int n) {
    const auto of_class = std::string(R"(assay_ingest_requests_total{class=")") + status_class;
    return counted(of_class + R"(xx",route="<unknown> /*")", n);
  }

  std::optional<ReverseProxy> proxy;
};

TEST_F(PassingServer, LetsWhoSendsMuchReadThatNobodyIsBehind) {
  start_before("http://127.0.0.1:1", 16u << 20);
  const auto upload = post("/behind", std::string(8u << 20, 'x'));
  for (int i = 0; i < 20; ++i) {
    RawClient c(server->port());
    EXPECT_TRUE(c.send(upload)) << "reset";
    EXPECT_EQ(status(c.read_response()), "HTTP/1.1 502");
    EXPECT_TRUE(c.closes());
  }
  EXPECT_TRUE(answered('5', 20)) << metrics.text();
}

TEST_F(PassingServer, HoldsChunksToTheLimitOfTheRoute) {
  ScriptedServer behind(take);
  start_before(behind.url(), taken_max);
  RawClient c(server->port());
  EXPECT_EQ(body(c.ask(std::string(chunked) + chunk_of(400) + chunk_of(600) + "0\r\n\r\n")), "taken");
  EXPECT_EQ(body(c.ask(post("/behind", std::string(taken_max, 'x')))), "taken");
  ASSERT_TRUE(c.send(std::string(chunked) + chunk_of(400)));
  EXPECT_EQ(status(c.ask(chunk_of(601) + "0\r\n\r\n")), "HTTP/1.1 413");
  EXPECT_TRUE(c.closes());
  EXPECT_TRUE(counted(R"(assay_ingest_refused_total{reason="too_large")", 1)) << metrics.text();
}

TEST_F(PassingServer, CountsWhoLeavesInTheMiddleAsGone) {
  ScriptedServer behind(take);
  start_before(behind.url(), taken_max);
  RawClient(server->port()).send(std::string(chunked) + "5\r\nab");
  RawClient(server->port()).send("POST /behind HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab");
  for (int i = 0; i < 10'000 && !answered('4', 2); ++i) std::this_thread::sleep_for(1ms);
  EXPECT_TRUE(answered('4', 2) && answered('5', 0)) << metrics.text();
}

}  // namespace
}  // namespace assay::server_test
