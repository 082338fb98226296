// The OpenAI backend against a server on loopback.
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/detached.hpp>
#include <boost/json.hpp>

#include "ingest/chat/openai_backend.hpp"
#include "ops/runtime/run_task.hpp"
#include "tests/support/scripted_server.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;
using test::ScriptedServer;
using Conversation = ScriptedServer::Conversation;

std::string chunk_of(const std::string& content) {
  return R"(data: {"choices":[{"index":0,"delta":{"content":")" + content +
         R"("},"finish_reason":null}]})"
         "\n\n";
}
const std::string last_chunk = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const std::string done = "data: [DONE]\n\n";

struct OpenAiBackendTest : testing::Test {
  IoContext context{1};
  HttpClient client;
  OpenAiConfig config{.model = "m-1", .api_key = "sk-secret"};

  // The answer's tokens joined with |, and the failure behind a !.
  std::string ask(const ScriptedServer& server, std::string message = "hi", std::string openai_request = {},
                  bool streams = true) {
    config.url = server.url("/v1/");
    OpenAiBackend backend(config, client);
    ChatQuestion question{
        .messages = {{"user", std::move(message)}}, .openai_request = std::move(openai_request), .stream = streams};
    auto answer = run_task(context, backend.start(std::move(question)));
    if (!answer) return "!" + answer.error().reason;
    std::string out;
    for (;;) {
      auto token = run_task(context, (*answer)->next());
      if (!token) return out + "!" + token.error().reason;
      if (!*token) return out;
      out += (*token)->content + "|";
    }
  }
};

TEST_F(OpenAiBackendTest, AsksForAStreamAndGivesItsTokens) {
  std::string request;
  ScriptedServer server([&](Conversation& c) {
    request = c.read_request().value_or("");
    c.begin_chunked();
    c.chunk("data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n");
    c.chunk(chunk_of("Hel") + chunk_of("lo"));
    c.chunk(last_chunk + done);
    c.end_chunked();
    c.wait_closed();
  });
  EXPECT_EQ(ask(server, "say \"hi\""), "Hel|lo|");
  EXPECT_TRUE(request.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"));
  EXPECT_NE(request.find("Authorization: Bearer sk-secret\r\n"), std::string::npos);
  const auto body = boost::json::parse(request.substr(request.find("\r\n\r\n") + 4)).as_object();
  EXPECT_EQ(body.at("model").as_string(), "m-1");
  EXPECT_TRUE(body.at("stream").as_bool());
  EXPECT_EQ(body.at("messages").as_array()[0].at("content").as_string(), "say \"hi\"");
  EXPECT_EQ(client.connections(), 1u);  // kept for the next chat
}

TEST_F(OpenAiBackendTest, ReadsEventsCutAnywhereWithCommentsAndCarriageReturns) {
  const std::string whole = ": ping\r\n\r\ndata: {\"choices\":\r\ndata: [{\"delta\":{\"content\":\"a\"}}]}\r\n\r\n" +
                            chunk_of("b") + last_chunk + done;
  ScriptedServer server([&](Conversation& c) {
    c.read_request();
    c.begin_chunked();
    for (const char byte : whole) c.chunk(std::string(1, byte));
    c.end_chunked();
  });
  EXPECT_EQ(ask(server), "a|b|");
}

TEST_F(OpenAiBackendTest, DoneIsNotHeldUpByAServerThatLeavesTheConnectionOpen) {
  ScriptedServer server([&](Conversation& c) {
    c.read_request();
    c.begin_chunked();
    c.chunk(chunk_of("a") + done);
    c.wait_closed();
  });
  const auto from = std::chrono::steady_clock::now();
  EXPECT_EQ(ask(server), "a|");
  EXPECT_LT(std::chrono::steady_clock::now() - from, 5s);
  EXPECT_EQ(client.connections(), 0u);
}

TEST_F(OpenAiBackendTest, AStreamThatEndsEarlyIsAFailureAndOneWithoutDoneIsNot) {
  std::string bytes;
  ScriptedServer server([&](Conversation& c) {
    while (c.read_request()) {
      c.begin_chunked();
      c.chunk(bytes);
      c.end_chunked();
    }
  });
  bytes = chunk_of("a");
  EXPECT_EQ(ask(server), "a|!the model's answer ended before it was complete");
  bytes = chunk_of("a") + last_chunk;
  EXPECT_EQ(ask(server), "a|");
  bytes = chunk_of("a") + "data: {\"error\":{\"message\":\"overloaded\"}}\n\n";
  EXPECT_EQ(ask(server), "a|!the model failed: overloaded");
  bytes = "data: nonsense\n\n";
  EXPECT_EQ(ask(server), "!the model's answer is not in OpenAI's format");
}

TEST_F(OpenAiBackendTest, AConnectionThatBreaksIsAFailure) {
  ScriptedServer server([&](Conversation& c) {
    c.read_request();
    c.begin_chunked();
    c.chunk(chunk_of("a"));
  });
  EXPECT_EQ(ask(server), "a|!the model broke off in the middle of its answer");
}

TEST_F(OpenAiBackendTest, AModelThatWasReachedIsNotSaidToBeOutOfReach) {
  config.retries = 0;
  const std::string broke_off = "!the model broke off in the middle of its answer";
  const std::vector<std::pair<std::string, std::string>> broken{
      {"", "!the model closed the connection without an answer"},
      {"HTTP/1.1 200 O", broke_off},
      {"220 mail.example ESMTP\r\n\r\n", "!the connection to the model broke: "},
      {"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{", broke_off}};
  for (const auto& [bytes, said] : broken) {
    ScriptedServer server([&bytes](Conversation& c) {
      c.read_request();
      c.write(bytes);
    });
    const auto answer = ask(server);
    EXPECT_TRUE(answer.starts_with(said)) << bytes << " → " << answer;
  }
}

TEST_F(OpenAiBackendTest, AnErrorInsteadOfAStreamIsTheModelsOwn) {
  const auto asked = [this](const std::string& body) {
    ScriptedServer server([&body](Conversation& c) {
      c.read_request();
      c.answer(body, "200 OK", "Content-Type: application/json\r\n");
    });
    return ask(server, "hi", R"({"stream":true})");
  };
  EXPECT_EQ(asked(R"({"error":{"message":"out of water","type":"server_error"}})"), "!the model failed: out of water");
  EXPECT_EQ(asked(R"({"choices":[{"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}]})"),
            "!the model does not stream");
}

TEST_F(OpenAiBackendTest, AnErrorStatusIsAFailureWithItsMessage) {
  std::string status;
  ScriptedServer server([&](Conversation& c) {
    while (c.read_request()) c.answer(R"({"error":{"message":"it says sk-secret"}})", status);
  });
  status = "404 Not Found";
  EXPECT_EQ(ask(server), "!the model answered 404: it says sk-secret");
  status = "401 Unauthorized";
  EXPECT_EQ(ask(server), "!the model refused our credentials");
}

TEST_F(OpenAiBackendTest, ARetryAfterThatIsMalformedIsNoneAndOthersAreTheClientsToWaitFor) {
  config.retry_pause = 1ms;
  std::string retry_after;
  std::atomic<int> tries{0};
  ScriptedServer server([&](Conversation& c) {
    while (c.read_request()) {
      ++tries;
      c.answer("{}", "429 Too Many Requests", "Retry-After: " + retry_after + "\r\n");
    }
  });
  config.url = server.url("/v1");
  OpenAiBackend backend(config, client);
  const auto refused = [&](const std::string& value) {
    retry_after = value;
    tries = 0;
    ChatQuestion question{.messages = {{"user", "hi"}}};
    const auto answer = run_task(context, backend.start(std::move(question)));
    return answer ? "answered" : answer.error().retry_after + " in " + std::to_string(tries);
  };
  for (const auto* none :
       {"", "-5", "+5", "soon", "1.5", "5 s", "0x5", "Mon, 23 Nov 2026", "Mon, 23 Nov 2026 15:57:21 GMT+1"})
    EXPECT_EQ(refused(none), " in 3") << none;
  EXPECT_EQ(refused("0"), "0 in 3");
  for (const std::string later : {"7", "99999999999999999999", "Mon, 23 Nov 2026 15:57:21 GMT",
                                  "Monday, 23-Nov-26 15:57:21 GMT", "Mon Nov 23 15:57:21 2026"})
    EXPECT_EQ(refused(later), later + " in 1");
}

TEST_F(OpenAiBackendTest, AServerThatDoesNotStreamIsOneToken) {
  ScriptedServer server([&](Conversation& c) {
    c.read_request();
    c.answer(R"({"choices":[{"message":{"role":"assistant","content":"all of it"},"finish_reason":"stop"}]})", "200 OK",
             "Content-Type: application/json\r\n");
  });
  EXPECT_EQ(ask(server), "all of it|");
}

TEST_F(OpenAiBackendTest, AnAnswerWithoutAContentTypeIsWhatItBeginsAs) {
  config.retries = 0;
  const auto asked = [this](const std::vector<std::string>& pieces, const std::string& request, bool streams) {
    ScriptedServer server([&](Conversation& c) {
      c.read_request();
      c.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      for (const auto& piece : pieces) c.chunk(piece);
      c.end_chunked();
    });
    return ask(server, "hi", request, streams);
  };
  const std::string raw = R"({"model":"m"})";
  const std::vector<std::string> json{
      " \n", "{\n", R"("choices":[{"message":{"role":"assistant","content":"all of it"},"finish_reason":"stop"}]})"};
  EXPECT_EQ(asked(json, raw, false), "all of it|");
  EXPECT_EQ(asked(json, "", true), "all of it|");
  EXPECT_EQ(asked(json, raw, true), "!the model does not stream");
  const std::vector<std::string> events{chunk_of("a"), chunk_of("b") + last_chunk + done};
  EXPECT_EQ(asked(events, "", true), "a|b|");
  EXPECT_EQ(asked(events, raw, true), "a|b||") << "whose last event says nothing, and is passed on";
  EXPECT_TRUE(asked(events, raw, false).starts_with("!the model's answer has no Content-Type"));
  EXPECT_EQ(asked({"{nonsense"}, raw, false), "!the model's answer is not in OpenAI's format");
  EXPECT_EQ(asked({}, "", true), "!the model's answer ended before it began");
}

TEST_F(OpenAiBackendTest, AModelThatStallsIsATimeOut) {
  config.limits.between_reads = 300ms;
  ScriptedServer server([&](Conversation& c) {
    c.read_request();
    c.begin_chunked();
    c.chunk(chunk_of("a"));
    c.wait_closed();
  });
  EXPECT_EQ(ask(server), "a|!the model did not answer in time");
}

// What is read at once is never waited for: a cancellation finds nothing to end then, and is not to be forgotten.
TEST_F(OpenAiBackendTest, AnAnswerThatIsCancelledWhileItsPiecesComeFastIsNotReadOn) {
  std::atomic<bool> silent{false};
  ScriptedServer server([&](Conversation& c) {
    c.read_request();
    c.begin_chunked();
    std::string empty_ones;
    for (int i = 0; i < 1000; ++i) empty_ones += chunk_of("");
    while (!silent && c.chunk(empty_ones)) {
    }
    c.wait_closed();
  });
  config.url = server.url("/v1");
  OpenAiBackend backend(config, client);
  for (int i = 0; i < 20; ++i) {
    silent = false;
    ChatQuestion question{.messages = {{"user", "hi"}}};
    auto answer = run_task(context, backend.start(std::move(question)));
    ASSERT_TRUE(answer);
    asio::cancellation_signal signal;
    bool ended = false;
    const auto read = [](ChatAnswer& from, bool& to) -> Task<void> {
      co_await asio::this_coro::throw_if_cancelled(false);
      const auto piece = co_await from.next();
      EXPECT_FALSE(piece);
      to = true;
    };
    asio::co_spawn(context, read(**answer, ended), asio::bind_cancellation_slot(signal.slot(), asio::detached));
    context.restart();
    context.run_for(10ms);
    signal.emit(asio::cancellation_type::terminal);
    silent = true;
    const auto until = std::chrono::steady_clock::now() + 5s;
    while (!ended && std::chrono::steady_clock::now() < until) context.run_for(5ms);
    ASSERT_TRUE(ended);
  }
}

TEST_F(OpenAiBackendTest, AnEventWithoutEndIsCutAtItsBound) {
  ScriptedServer server([&](Conversation& c) {
    c.read_request();
    c.begin_chunked();
    c.chunk("data: ");
    while (c.chunk(std::string(64 << 10, 'x'))) {
    }
  });
  EXPECT_EQ(ask(server), "!the model sent an event that is too large");
}

TEST(OpenAiConfig, IsJudgedInASentence) {
  EXPECT_EQ(problem_with({.url = "http://localhost:8000/v1"}), "");
  for (const auto* url : {"", "localhost:8000", "ftp://x/", "http://u:p@x/v1", "http://x/v1?key=1", "http://x/v1#top"})
    EXPECT_NE(problem_with({.url = url}), "") << url;
}

}  // namespace
}  // namespace assay
