// What the server behind this door hears of who asks, and by what way.
#include "ingest/access/client_address.hpp"
#include "ingest/proxy/reverse_proxy.hpp"
#include "tests/support/scripted_server.hpp"
#include "tests/unit/ingest/server_fixture.hpp"

namespace assay::server_test {
namespace {

using test::ScriptedServer;

struct ProxyForwarding : HttpServer {
  // What the server behind was asked.
  std::string passed(const std::string& method, const std::string& headers) {
    asked.clear();
    RawClient c(server->port());
    answer = c.ask(method + " /behind HTTP/1.1\r\nHost: door.example\r\n" + headers + "\r\n");
    return asked;
  }
  void start_before(TrustedProxies proxies) {
    ProxyConfig behind_config{.url = behind.url()};
    behind_config.client_of = [proxies](const Request& r) { return client_address(r.peer, r.headers, proxies); };
    proxy.emplace(std::move(behind_config), metrics);
    const RouteOptions options{.scope = Scope::open};
    auto pass = [this](Request& r, RequestBody& body, ResponseStream& to) { return proxy->pass(r, body, to); };
    router.set_behind(std::move(pass), options, options);
    start();
  }
  bool said(const std::string& line) const {
    const auto at = asked.find("\r\n" + line + "\r\n");
    const auto name = "\r\n" + line.substr(0, line.find(':') + 1);
    return at != asked.npos && asked.find(name) == asked.rfind(name);
  }
  std::string asked, answer;
  ScriptedServer behind{[this](ScriptedServer::Conversation& c) {
    while (auto request = c.read_request()) {
      asked = std::move(*request);
      c.answer("read");
    }
  }};
  std::optional<ReverseProxy> proxy;
};

const std::string invented =
    "X-Forwarded-For: 9.9.9.9\r\nForwarded: for=8.8.8.8\r\nX-Forwarded-Host: bank.example\r\n"
    "X-Forwarded-Proto: https\r\n";

TEST_F(ProxyForwarding, SaysNothingThatAClientInvents) {
  start_before({});
  passed("GET", invented);
  EXPECT_TRUE(said("X-Forwarded-For: 127.0.0.1")) << asked;
  EXPECT_TRUE(said(R"(Forwarded: for="127.0.0.1";host="door.example";proto=http)")) << asked;
  EXPECT_TRUE(said("X-Forwarded-Host: door.example")) << asked;
  EXPECT_TRUE(said("X-Forwarded-Proto: http")) << asked;
}

TEST_F(ProxyForwarding, SaysTheSameInBothOfWhomATrustedProxyNames) {
  start_before({.networks = {*parse_network("127.0.0.0/8")}});
  passed("GET", "X-Forwarded-For: 9.9.9.9, 2001:db8::5\r\nForwarded: for=8.8.8.8\r\n");
  EXPECT_TRUE(said("X-Forwarded-For: 2001:db8::5, 127.0.0.1")) << asked;
  EXPECT_TRUE(said(R"(Forwarded: for="[2001:db8::5]", for="127.0.0.1";host="door.example";proto=http)")) << asked;
}

TEST_F(ProxyForwarding, NamesItselfInVia) {
  start_before({});
  passed("GET", "");
  EXPECT_TRUE(said("Via: 1.1 assay")) << asked;
  passed("GET", "Via: 1.0 one\r\nVia: 1.1 two\r\n");
  EXPECT_TRUE(said("Via: 1.0 one, 1.1 two, 1.1 assay")) << asked;
}

TEST_F(ProxyForwarding, OpensNoTunnel) {
  start_before({});
  EXPECT_EQ(passed("CONNECT", ""), "");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 501")) << answer;
}

}  // namespace
}  // namespace assay::server_test
