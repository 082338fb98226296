#include "ops/runtime/http_client.hpp"

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/post.hpp>
#include <filesystem>
#include <fstream>
#include <future>

#include "ops/runtime/run_task.hpp"
#include "tests/support/scripted_server.hpp"
#include "tests/support/temporary_directory.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;
using test::ScriptedServer;
using Conversation = ScriptedServer::Conversation;

struct HttpClientTest : testing::Test {
  IoContext context{1};
  HttpClient client;

  Result<HttpResponse> ask(HttpRequest request, HttpLimits limits = {}) {
    return run_task(context, client.request(std::move(request), limits));
  }
  static void echo(Conversation& c) {
    while (auto request = c.read_request()) c.answer(*request);
  }
};

TEST(HttpUrl, IsTakenApart) {
  const auto url = parse_http_url("http://models.example:8000/v1/chat?x=1#top");
  ASSERT_TRUE(url);
  EXPECT_FALSE(url->tls);
  EXPECT_EQ(url->host, "models.example");
  EXPECT_EQ(url->port, "8000");
  EXPECT_EQ(url->target, "/v1/chat?x=1");
  EXPECT_EQ(parse_http_url("https://example")->port, "443");
  EXPECT_EQ(parse_http_url("https://example")->target, "/");
  EXPECT_EQ(parse_http_url("http://[::1]:5/")->host, "::1");
}

TEST(HttpUrl, IsRefusedWhereItCannotBeOneOrCarriesASecret) {
  for (const auto* text : {"", "example", "ftp://example/", "http://", "http:///x", "http://user:pw@example/",
                           "http://a b/", "http://example:99999/", "http://example:0/", "http://a%0d%0ab/"})
    EXPECT_FALSE(parse_http_url(text)) << text;
}

TEST_F(HttpClientTest, SendsHeaderAndBodyAndGivesTheWholeAnswer) {
  ScriptedServer server(echo);
  const auto response =
      ask({.method = "POST", .url = server.url("/a?b=c"), .headers = {{"X-One", "1"}}, .body = "hello"});
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(response->status, 200u);
  EXPECT_EQ(response->header("content-length"), std::to_string(response->body.size()));
  EXPECT_TRUE(response->body.starts_with("POST /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:"));
  EXPECT_NE(response->body.find("\r\nX-One: 1\r\n"), std::string::npos);
  EXPECT_TRUE(response->body.ends_with("Content-Length: 5\r\n\r\nhello"));
}

TEST_F(HttpClientTest, ATargetOfItsOwnGoesOutAsItStands) {
  ScriptedServer server(echo);
  const auto response = ask({.url = server.url("/not-this"), .target = "/x?a[]=1|2%"});
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_TRUE(response->body.starts_with("GET /x?a[]=1|2% HTTP/1.1\r\n"));
}

TEST_F(HttpClientTest, KeepsAConnectionForTheNextRequest) {
  ScriptedServer server(echo);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(ask({.url = server.url()}));
  EXPECT_EQ(server.accepted(), 1);
  EXPECT_EQ(client.connections(), 1u);
}

TEST_F(HttpClientTest, AnIdleConnectionThatItsServerClosedIsNotUsed) {
  std::promise<void> closed;
  ScriptedServer server([&](Conversation& c) {
    while (c.read_request()) {
      c.answer("x");
      if (c.number == 0) {
        c.close();
        closed.set_value();
        return;
      }
    }
  });
  ASSERT_TRUE(ask({.method = "POST", .url = server.url()}));
  closed.get_future().wait();
  ASSERT_TRUE(ask({.method = "POST", .url = server.url()}));
  EXPECT_EQ(server.accepted(), 2);
  EXPECT_EQ(client.connections(), 1u);
}

TEST_F(HttpClientTest, AConnectionIsGivenUpBeforeUvicornWouldCloseIt) { EXPECT_LT(HttpClientConfig().idle_time, 5s); }

// The server takes the second request on the kept connection and closes without a word.
void closes_on_second(Conversation& c) {
  if (!c.read_request()) return;
  c.answer("first");
  if (c.number == 0) {
    c.read_request();
    return;
  }
  c.read_request();
}

TEST_F(HttpClientTest, ARepeatableRequestIsSentAgainWhenItsKeptConnectionCloses) {
  ScriptedServer server(closes_on_second);
  ASSERT_TRUE(ask({.url = server.url()}));
  EXPECT_TRUE(ask({.method = "POST", .url = server.url(), .repeatable = true}));
  EXPECT_EQ(server.accepted(), 2);
}

TEST_F(HttpClientTest, AnotherRequestIsNotSentAgainBecauseTheServerMayHaveActed) {
  ScriptedServer server(closes_on_second);
  ASSERT_TRUE(ask({.url = server.url()}));
  EXPECT_FALSE(ask({.method = "POST", .url = server.url()}));
  EXPECT_EQ(server.accepted(), 1);
  EXPECT_EQ(client.connections(), 0u);
}

TEST_F(HttpClientTest, AFreshConnectionThatClosesIsAnErrorEvenForARepeatableRequest) {
  ScriptedServer server([](Conversation& c) { c.read_request(); });
  EXPECT_FALSE(ask({.url = server.url()}));
  EXPECT_EQ(server.accepted(), 1);
}

TEST_F(HttpClientTest, ReadsChunkedBodiesAndBodiesUntilTheEndAndSkipsInterimAnswers) {
  ScriptedServer server([](Conversation& c) {
    c.read_request();
    c.write("HTTP/1.1 100 Continue\r\n\r\n");
    c.begin_chunked();
    c.chunk("one ");
    c.chunk("two");
    c.end_chunked();
    c.read_request();
    c.write("HTTP/1.1 200 OK\r\n\r\nuntil the end");
  });
  const auto chunked = ask({.url = server.url()});
  ASSERT_TRUE(chunked) << chunked.error().message();
  EXPECT_EQ(chunked->body, "one two");
  const auto to_end = ask({.url = server.url()});
  ASSERT_TRUE(to_end) << to_end.error().message();
  EXPECT_EQ(to_end->body, "until the end");
  EXPECT_EQ(server.accepted(), 1);
  EXPECT_EQ(client.connections(), 0u);
}

TEST_F(HttpClientTest, ABodyIsPulledPieceByPiece) {
  std::promise<void> first_was_read;
  ScriptedServer server([&](Conversation& c) {
    c.read_request();
    c.begin_chunked();
    c.chunk("first");
    first_was_read.get_future().wait();  // a client that waited for all of the body would never get here
    c.chunk("second");
    c.end_chunked();
  });
  HttpRequest request{.url = server.url()};
  auto stream = run_task(context, client.open(request));
  ASSERT_TRUE(stream);
  EXPECT_EQ(stream->head().status, 200u);
  EXPECT_EQ(run_task(context, stream->read_some()).value(), "first");
  first_was_read.set_value();
  EXPECT_EQ(run_task(context, stream->read_some()).value(), "second");
  EXPECT_EQ(run_task(context, stream->read_some()).value(), "");
}

TEST_F(HttpClientTest, AReaderThatStopsStopsTheServer) {
  std::atomic<std::size_t> written{0};
  std::promise<void> ended;
  ScriptedServer server([&](Conversation& c) {
    c.read_request();
    c.begin_chunked();
    while (c.chunk(std::string(64 << 10, 'x'))) written += 64 << 10;
    ended.set_value();
  });
  {
    HttpRequest request{.url = server.url()};
    auto stream = run_task(context, client.open(request));
    ASSERT_TRUE(stream);
    ASSERT_TRUE(run_task(context, stream->read_some()));
    // The sockets' own buffers fill; then nothing moves.
    for (std::size_t before = 1; before != written;) {
      before = written;
      std::this_thread::sleep_for(50ms);
    }
    EXPECT_LT(written, 16u << 20);
    EXPECT_EQ(client.connections(), 1u);
  }
  ended.get_future().wait();  // dropping the stream closed the connection
  EXPECT_EQ(client.connections(), 0u);
}

TEST_F(HttpClientTest, AServerThatStallsAtAnyPlaceIsATimeOut) {
  for (const std::string before_stall :
       {"", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12"}) {
    ScriptedServer server([&](Conversation& c) {
      c.read_request();
      c.write(before_stall);
      c.wait_closed();
    });
    const auto response = ask({.url = server.url()}, {.first_byte = 50ms, .between_reads = 50ms});
    ASSERT_FALSE(response) << before_stall;
    EXPECT_EQ(response.error(), Error::timed_out) << before_stall;
  }
  EXPECT_EQ(client.connections(), 0u);
}

TEST_F(HttpClientTest, AServerThatDripsIsCutAtTheWholeTime) {
  ScriptedServer server([&](Conversation& c) {
    c.read_request();
    c.begin_chunked();
    while (c.chunk("drip")) std::this_thread::sleep_for(5ms);
  });
  const auto response = ask({.url = server.url()}, {.between_reads = 5s, .whole = 100ms});
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error(), Error::timed_out);
}

TEST_F(HttpClientTest, HeadersAndBodiesOverTheirBoundsAreRefused) {
  ScriptedServer server([&](Conversation& c) {
    const auto request = c.read_request();
    if (!request) return;
    if (request->find("/length") != std::string::npos) return c.answer(std::string(2000, 'x'));
    if (request->find("/header") != std::string::npos)
      return c.answer("", "200 OK", "X: " + std::string(9000, 'x') + "\r\n");
    c.begin_chunked();
    for (int i = 0; i < 20; ++i) c.chunk(std::string(100, 'x'));
    c.end_chunked();
  });
  for (const auto* path : {"/length", "/header", "/chunked"}) {
    const auto response = ask({.url = server.url(path)}, {.header_bytes_max = 8000, .body_bytes_max = 1000});
    ASSERT_FALSE(response) << path;
    EXPECT_EQ(response.error(), boost::system::errc::message_size) << path << ": " << response.error().message();
  }
}

TEST_F(HttpClientTest, GarbageIsAnError) {
  ScriptedServer server([](Conversation& c) {
    c.read_request();
    c.write("SSH-2.0-OpenSSH_9.2\r\n\r\n");
  });
  EXPECT_FALSE(ask({.url = server.url()}));
}

TEST_F(HttpClientTest, NobodyListeningIsAnError) {
  std::string url;
  {
    ScriptedServer server(echo);
    url = server.url();
  }
  const auto response = ask({.url = url});
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error(), asio::error::connection_refused);
  EXPECT_EQ(client.connections(), 0u);
}

TEST_F(HttpClientTest, ANameIsResolvedAndAnUnknownOneIsAnError) {
  ScriptedServer server(echo);
  EXPECT_TRUE(ask({.url = server.url("/", "localhost")}));
  EXPECT_FALSE(ask({.url = "http://no-such-host.invalid/"}, {.connect = 2s}));
}

TEST_F(HttpClientTest, AHeaderCannotSmuggleAnother) {
  ScriptedServer server(echo);
  EXPECT_FALSE(ask({.url = server.url(), .headers = {{"X", "1\r\nY: 2"}}}));
  EXPECT_FALSE(ask({.url = server.url(), .headers = {{"X Y", "1"}}}));
  EXPECT_FALSE(ask({.url = server.url(), .headers = {{"Content-Length", "9"}}}));
  EXPECT_FALSE(ask({.method = "GET / HTTP/1.1\r\n", .url = server.url()}));
  EXPECT_FALSE(ask({.url = server.url(), .target = "/ HTTP/1.1\r\nY: 2\r\n"}));
  EXPECT_EQ(server.accepted(), 0);
}

TEST_F(HttpClientTest, ConnectionsToAnOriginAreBounded) {
  HttpClient small({.connections_max = 1});
  ScriptedServer server([](Conversation& c) {
    c.read_request();
    c.begin_chunked();
    c.chunk("x");
    c.wait_closed();
  });
  HttpRequest request{.url = server.url()};
  {
    auto first = run_task(context, small.open(request));
    ASSERT_TRUE(first);
    auto second = run_task(context, small.open(request));
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error(), Error::over_capacity);
  }
  EXPECT_TRUE(run_task(context, small.open(request)));
}

TEST_F(HttpClientTest, CancellingClosesTheConnection) {
  std::promise<void> asked, closed;
  ScriptedServer server([&](Conversation& c) {
    c.read_request();
    asked.set_value();
    if (c.wait_closed()) closed.set_value();
  });
  asio::cancellation_signal signal;
  bool ended = false;
  auto on_end = [&](std::exception_ptr, Result<HttpResponse> response) {
    ended = true;
    EXPECT_FALSE(response);
  };
  HttpRequest request{.url = server.url()};
  asio::co_spawn(context, client.request(request), asio::bind_cancellation_slot(signal.slot(), on_end));
  auto asked_at = asked.get_future();
  while (asked_at.wait_for(0ms) != std::future_status::ready) context.run_for(5ms);
  signal.emit(asio::cancellation_type::terminal);
  context.run_for(5s);
  EXPECT_TRUE(ended);
  EXPECT_EQ(closed.get_future().wait_for(5s), std::future_status::ready);
  EXPECT_EQ(client.connections(), 0u);
}

struct HttpsClientTest : HttpClientTest {
  TemporaryDirectory directory;
  std::string ca_file(const std::string& certificate) {
    const auto path = (std::filesystem::path(directory.path()) / "ca.pem").string();
    std::ofstream(path) << certificate;
    return path;
  }
};

TEST_F(HttpsClientTest, SpeaksTlsToAServerThatItsCaFileVouchesFor) {
  const auto identity = test::make_self_signed("localhost");
  ScriptedServer server(echo, identity);
  HttpClient trusting({.ca_file = ca_file(identity.certificate)});
  for (int i = 0; i < 3; ++i) {
    HttpRequest request{.url = server.url("/", "localhost"), .body = "over TLS"};
    const auto response = run_task(context, trusting.request(request));
    ASSERT_TRUE(response) << response.error().message();
    EXPECT_TRUE(response->body.ends_with("over TLS"));
  }
  EXPECT_EQ(server.accepted(), 1);
}

TEST_F(HttpsClientTest, RefusesACertificateThatNobodyVouchesFor) {
  ScriptedServer server(echo, test::make_self_signed("localhost"));
  EXPECT_FALSE(ask({.url = server.url("/", "localhost")}));
}

TEST_F(HttpsClientTest, RefusesACertificateOfAnotherName) {
  const auto identity = test::make_self_signed("elsewhere.example");
  ScriptedServer server(echo, identity);
  HttpClient trusting({.ca_file = ca_file(identity.certificate)});
  HttpRequest request{.url = server.url("/", "localhost")};
  EXPECT_FALSE(run_task(context, trusting.request(request)));
}

TEST_F(HttpsClientTest, ABodyWithoutLengthThatIsCutOffIsNotTakenForWhole) {
  const auto identity = test::make_self_signed("127.0.0.1");
  ScriptedServer server(
      [](Conversation& c) {
        c.read_request();
        c.write("HTTP/1.1 200 OK\r\n\r\nhalf of");  // and the socket closes without TLS's goodbye
      },
      identity);
  HttpClient trusting({.ca_file = ca_file(identity.certificate)});
  HttpRequest request{.url = server.url()};
  EXPECT_FALSE(run_task(context, trusting.request(request)));
}

TEST_F(HttpsClientTest, ACaFileThatIsNotThereIsAStartUpFault) {
  EXPECT_THROW(HttpClient({.ca_file = "no/such/file.pem"}), boost::system::system_error);
}

}  // namespace
}  // namespace assay
