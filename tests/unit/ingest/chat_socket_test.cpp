// GET /chat/ws over a real server, where something goes wrong: the connection's tasks live on what it owns.
#include "ingest/ws/chat_socket.hpp"

#include <sys/ioctl.h>

#include "tests/unit/ingest/live_chat_fixture.hpp"
#include "tests/unit/ingest/server_fixture.hpp"

namespace assay::chat_test {
namespace {

struct ChatSocketTest : server_test::HttpServer {
  void SetUp() override {
    chat.token_interval = 0ms;
    chat.gone_poll = 20ms;
    chat.stall_max = 300ms;
    chat.resume_max = 0ms;
    chat.answer_bytes_max = 64u << 20;
  }
  // What runs in the server's contexts lives on what stands below.
  void TearDown() override {
    HttpServer::TearDown();
    model.outlive_the_context();
    server.reset();
  }
  void open() {
    live.emplace(chat, chat_metrics);
    services.emplace(ChatServices{chat, log, model, journal, chat_metrics, clock, *live});
    add_chat_socket(router, *services, {});
    HttpServer::SetUp();
    start();
    client.emplace(server->port());
    client->send(
        "GET /chat/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    ASSERT_TRUE(client->read_response(true).starts_with("HTTP/1.1 101"));
  }
  // A short text, masked with zeros.
  void say(std::string_view text) {
    ASSERT_LT(text.size(), 126u);
    std::string frame{'\x81', static_cast<char>(0x80 | text.size()), 0, 0, 0, 0};
    ASSERT_TRUE(client->send(frame.append(text)));
  }
  // Whether so many bytes wait for the client, who takes none.
  bool has_come(int bytes) {
    for (int there = 0, i = 0; i < 1000; ++i, std::this_thread::sleep_for(10ms))
      if (::ioctl(client->fd(), FIONREAD, &there) == 0 && there >= bytes) return true;
    return false;
  }

  Seen seen;
  ListedLog log{seen};
  Metrics registry;
  ChatMetrics chat_metrics{registry};
  MemoryKeyValue disk;
  ChatJournal journal{disk};
  ChatConfig chat;
  PushedModel model;
  std::optional<LiveChats> live;
  std::optional<ChatServices> services;
  std::optional<RawClient> client;
};

TEST_F(ChatSocketTest, AMessageThatIsNoJsonIsAnErrorAlsoWhileATurnRuns) {
  open();
  say(R"({"message":"hi"})");
  ASSERT_TRUE(has_come(50)) << "start";
  say(R"({"message":"x","tags":nope})");
  ASSERT_NE(client->read_until("not JSON").find("not JSON"), std::string::npos);
  model.push("one");
  model.end();
  EXPECT_NE(client->read_until("\"done\"").find("\"one\""), std::string::npos) << "the turn goes on";
}

// The reader waits for the turn to have written, and is told to end; then the turn's write fails. Told that it may
// write it was not there any more, and nobody wrote again.
TEST_F(ChatSocketTest, ADrainEndsAConnectionWhoseTwoWritersWait) {
  open();
  model.push(std::string(32u << 20, 'x'));
  say(R"({"message":"hi"})");
  ASSERT_TRUE(has_come(64 << 10)) << "the turn is at its write";
  say(R"({"message":"another"})");
  std::this_thread::sleep_for(100ms);  // that it is read
  server->insist();
  EXPECT_TRUE(server->wait(10s));
}

// Two want to close it: the reader, for what came, and who looks whether the door drains.
TEST_F(ChatSocketTest, ADrainEndsAConnectionThatIsClosedAndWhoseClientSaysNothing) {
  open();
  ASSERT_TRUE(client->send(std::string{'\x82', '\x80', 0, 0, 0, 0})) << "binary";
  ASSERT_TRUE(has_come(4)) << "the close, which it does not answer";
  server->begin_drain();
  std::this_thread::sleep_for(200ms);  // that it is looked at
  server->insist();
  EXPECT_TRUE(server->wait(10s));
}

TEST_F(ChatSocketTest, AConnectionWhoseAnswerIsReadElsewhereHasGivenItsPlaceToItAndEnds) {
  chat.resume_max = 10s;
  open();
  say(R"({"message":"hi"})");
  const auto start = client->read_until("resume_token");
  const auto at = start.find("tr-");
  ASSERT_NE(at, start.npos);
  IoContext elsewhere(1);
  std::optional<ChatReader> reader(std::in_place, live->find(start.substr(at, 35), ""), 0, elsewhere.get_executor());
  EXPECT_NE(client->read_until("\x03\xe8").find("another reader"), std::string::npos) << "1000";
  client->close();
  std::this_thread::sleep_for(200ms);  // that it has ended
  EXPECT_EQ(admission->requests_in_flight(), 1u) << "the chat's";
  model.end();
  for (int i = 0; i < 1000 && admission->requests_in_flight() > 0; ++i) std::this_thread::sleep_for(10ms);
  EXPECT_EQ(admission->requests_in_flight(), 0u);
  reader.reset();
}

}  // namespace
}  // namespace assay::chat_test
