// The limits on a client that sends, but too slowly, or that stops just when its time is up.
#include <boost/asio/ssl.hpp>
#include <fstream>
#include <list>

#include "ingest/http/tls.hpp"
#include "tests/support/scripted_server.hpp"
#include "tests/support/temporary_directory.hpp"
#include "tests/unit/ingest/server_fixture.hpp"

namespace assay::server_test {
namespace {

namespace ssl = boost::asio::ssl;
using std::chrono::steady_clock;

constexpr auto limit = 50ms;
constexpr auto much_longer = 3 * limit;  // than the limit: it has fired between two reads

std::string head_of(std::string_view path, std::size_t size) {
  return "POST " + std::string(path) + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n";
}

class ServerLimits : public HttpServer {
 protected:
  void SetUp() override {
    HttpServer::SetUp();
    config.header_timeout = config.body_timeout = limit;
    config.linger_timeout = limit;
    config.discard_bytes_max = std::size_t(1) << 40;
    const RouteOptions large{.scope = Scope::open, .body_bytes_max = 32u << 20};
    router.add(
        http::verb::post, "/large", [](Request&) -> Task<Response> { co_return Response(); }, large);
  }

  // Each of some clients sends its head and then pieces, much longer than it may; then nothing more comes.
  void flood(std::list<RawClient>& clients, std::string_view head, std::string_view piece) {
    for (int i = 0; i < 8; ++i) ASSERT_TRUE(clients.emplace_back(server->port()).send(head));
    const auto end = steady_clock::now() + much_longer;
    while (steady_clock::now() < end)
      for (auto& client : clients) client.send(piece);
  }
  void expect_all_closed(std::list<RawClient>& clients) {
    for (auto& client : clients) {
      client.read_response();
      EXPECT_TRUE(client.closes());
    }
  }
};

TEST_F(ServerLimits, EndABodyThatNeverPauses) {
  start();
  std::list<RawClient> bytes, chunks;
  flood(bytes, head_of("/large", 32u << 20), "x");
  expect_all_closed(bytes);
  flood(chunks, "POST /large HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n");
  expect_all_closed(chunks);
  server->begin_drain();
  ASSERT_TRUE(server->wait(10s));
  EXPECT_EQ(admission->requests_in_flight(), 0u);
}

TEST_F(ServerLimits, EndARefusedBodyThatNeverPauses) {
  start();
  std::list<RawClient> clients;
  flood(clients, head_of("/nothing", std::size_t(1) << 40), std::string(64 << 10, 'x'));
  expect_all_closed(clients);
}

// A record of TLS may be there before it is asked for: there is nothing to cancel.
TEST_F(ServerLimits, EndABodyThatNeverPausesOverTls) {
  config.header_timeout = 10s;  // the handshake's, too
  TemporaryDirectory directory;
  const auto pair = test::make_self_signed("127.0.0.1");
  std::ofstream(directory.path() + "/cert.pem") << pair.certificate;
  std::ofstream(directory.path() + "/key.pem") << pair.key;
  TlsSlot tls;
  tls.put(*make_tls_context(directory.path() + "/cert.pem", directory.path() + "/key.pem"));
  start(&tls);
  ssl::context context(ssl::context::tls_client);
  asio::io_context io;
  for (int i = 0; i < 5; ++i) {
    ssl::stream<asio::ip::tcp::socket> client(io, context);
    client.next_layer().connect({asio::ip::address_v4::loopback(), server->port()});
    client.handshake(ssl::stream_base::client);
    asio::write(client, asio::buffer(head_of("/large", 32u << 20)));
    error_code ec;
    for (const auto end = steady_clock::now() + much_longer; !ec && steady_clock::now() < end;)
      client.write_some(asio::buffer("x", 1), ec);
    pollfd closed{client.next_layer().native_handle(), POLLRDHUP, 0};
    EXPECT_EQ(::poll(&closed, 1, 10'000), 1);
  }
  server.reset();  // before what it shows
}

TEST_F(ServerLimits, TellWhoDripsAndLetHimReadIt) {
  config.linger_timeout = 10s;
  start();
  for (const std::string& head : {std::string("GET /hello HTTP/1.1\r\nX-A: "), head_of("/echo", 60'000)}) {
    RawClient client(server->port());
    ASSERT_TRUE(client.send(head));
    for (const auto end = steady_clock::now() + much_longer; steady_clock::now() < end;) {
      ASSERT_TRUE(client.send("x")) << "reset";
      std::this_thread::sleep_for(1ms);
    }
    const auto response = client.read_response();
    EXPECT_EQ(status(response), "HTTP/1.1 408");
    EXPECT_NE(body(response).find("did not come in time"), std::string::npos);
  }
}

}  // namespace
}  // namespace assay::server_test
