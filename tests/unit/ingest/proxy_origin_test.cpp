// Pages of other origins before a server that has its own mind of them: this door's gate alone decides.
#include "ingest/proxy/reverse_proxy.hpp"
#include "tests/support/scripted_server.hpp"
#include "tests/unit/ingest/server_fixture.hpp"

namespace assay::server_test {
namespace {

using test::ScriptedServer;

struct ProxyOrigin : HttpServer {
  // What the server behind was asked.
  std::string asked_with(const std::string& origin) {
    RawClient c(server->port());
    answer = c.ask("GET /behind HTTP/1.1\r\nHost: door.example\r\nOrigin: " + origin + "\r\n\r\n");
    return asked;
  }
  std::string asked, answer;
  ScriptedServer behind{[this](ScriptedServer::Conversation& c) {
    while (auto request = c.read_request()) {
      asked = std::move(*request);
      c.answer("read", "200 OK",
               "access-control-allow-origin: https://app.example\r\nAccess-Control-Allow-Credentials: true\r\n"
               "Vary: Origin\r\nX-Its-Own: 1\r\n");
    }
  }};
  std::optional<ReverseProxy> proxy;
};

TEST_F(ProxyOrigin, OfThisDoorIsTheServersOwnAndAnyOtherStaysHere) {
  proxy.emplace(ProxyConfig{.url = behind.url()}, metrics);
  const RouteOptions options{.scope = Scope::open};
  auto pass = [this](Request& r, RequestBody& body, ResponseStream& to) { return proxy->pass(r, body, to); };
  router.set_behind(std::move(pass), options, options);
  start();
  EXPECT_NE(asked_with("https://door.example").find("\r\nOrigin: " + behind.url() + "\r\n"), std::string::npos)
      << asked;
  for (const auto* other : {"https://app.example", "https://xdoor.example", "null"})
    EXPECT_EQ(asked_with(other).find("Origin: "), std::string::npos) << asked;
  EXPECT_EQ(body(answer), "read");
  EXPECT_EQ(answer.find("Access-Control-"), std::string::npos) << answer;
  EXPECT_EQ(answer.find("access-control-"), std::string::npos) << answer;
  EXPECT_NE(answer.find("\r\nVary: Origin\r\n"), std::string::npos) << answer;
  EXPECT_NE(answer.find("\r\nX-Its-Own: 1\r\n"), std::string::npos) << answer;
}

}  // namespace
}  // namespace assay::server_test
