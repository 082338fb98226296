// A server behind that gives an idle connection up in the moment in which the proxy uses it.
#include "ingest/proxy/reverse_proxy.hpp"
#include "tests/support/scripted_server.hpp"
#include "tests/unit/ingest/server_fixture.hpp"

namespace assay::server_test {
namespace {

using test::ScriptedServer;

struct ProxyRepeat : HttpServer {
  ProxyRepeat() {
    const RouteOptions options{.scope = Scope::open};
    auto pass = [this](Request& r, RequestBody& body, ResponseStream& to) { return proxy.pass(r, body, to); };
    router.set_behind(std::move(pass), options, options);
    start();
  }
  // The answer to what comes second, over the connection that the first has left.
  std::string second(const std::string& path) {
    RawClient c(server->port());
    c.ask("GET /first HTTP/1.1\r\nHost: x\r\n\r\n");
    return c.ask("POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}");
  }

  ScriptedServer behind{[](ScriptedServer::Conversation& c) {
    if (!c.read_request()) return;
    c.answer(c.number == 0 ? "first" : "again");
    c.read_request();
  }};
  ReverseProxy proxy{ProxyConfig{.url = behind.url()}, metrics};
};

TEST_F(ProxyRepeat, ASearchIsAskedAgain) {
  EXPECT_EQ(body(second("/api/3.0/mlflow/traces/search")), "again");
  EXPECT_EQ(behind.accepted(), 2);
}

TEST_F(ProxyRepeat, WhatMayHaveBeenWrittenIsNot) {
  EXPECT_TRUE(second("/api/2.0/mlflow/runs/create").starts_with("HTTP/1.1 502 "));
  EXPECT_EQ(behind.accepted(), 1);
}

}  // namespace
}  // namespace assay::server_test
