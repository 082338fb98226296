// POST /chat and /chat/stream, and the journal behind them.
#include "ingest/chat/builtin_responder.hpp"
#include "ingest/chat/openai_answer.hpp"
#include "ops/runtime/run_task.hpp"
#include "tests/unit/ingest/chat_fixture.hpp"

namespace assay {
namespace {

using namespace chat_test;

// With the journal's entries in writes of their own, and in those of the log.
struct ChatRouteTest : ChatFixture, testing::WithParamInterface<bool> {
  ChatRouteTest() : ChatFixture(GetParam()) {}
};
INSTANTIATE_TEST_SUITE_P(Journal, ChatRouteTest, testing::Bool(),
                         [](const auto& in_log) { return in_log.param ? "InTheLog" : "OnItsOwn"; });

TEST_P(ChatRouteTest, AStreamIsDurableBeforeItsIdsLeaveAndBeforeItIsDone) {
  chat("/chat/stream", {"Hel", "lo"});
  EXPECT_EQ(seen,
            (Seen{"log id", "log id", "log IN_PROGRESS", "started", "begin 200 text/event-stream", "write comment",
                  "ask hi", "pull Hel", "write token", "pull lo", "write token", "log OK", "write done", "end"}));
  const auto trace_id = std::string(log.last_info.at("trace_id").as_string());
  EXPECT_EQ(stream.events.back().at("trace_id").as_string(), trace_id);
  const auto client_request_id = std::string(stream.events.back().at("client_request_id").as_string());
  EXPECT_TRUE(client_request_id.starts_with("req-"));
  EXPECT_EQ(log.ids, (std::map<std::string, std::string>{{trace_id, trace_id}, {client_request_id, trace_id}}));
  const std::map<std::string, std::string> sent(stream.headers.begin(), stream.headers.end());
  EXPECT_EQ(sent.at("X-Trace-Id"), trace_id);
  EXPECT_EQ(sent.at("X-Client-Request-Id"), client_request_id);
  EXPECT_EQ(sent.at("Cache-Control"), "no-cache");
  EXPECT_EQ(sent.at("X-Accel-Buffering"), "no");
  EXPECT_EQ(log.last_span.at("attributes").at("response").as_string(), "\"Hello\"");
  EXPECT_EQ(log.last_span.at("attributes").at("token_count").as_string(), "2");
  EXPECT_EQ(journalled(), 0u);
}

TEST_P(ChatRouteTest, AWholeAnswerIsDurableBeforeItIsGiven) {
  headers = {{"X-Session-ID", "s"}, {"X-User-ID", "u"}, {"X-Client-Request-Id", "mine"}};
  chat("/chat", {"Hel", "lo"});
  EXPECT_EQ(seen, (Seen{"log id", "log id", "log IN_PROGRESS", "started", "ask hi", "pull Hel", "pull lo", "log OK",
                        "respond 200"}));
  const auto answer = json::parse(stream.response.body).as_object();
  EXPECT_EQ(answer.at("response").as_string(), "Hello");
  EXPECT_EQ(answer.at("client_request_id").as_string(), "mine");
  EXPECT_EQ(answer.at("trace_id").as_string(), log.ids.at("mine"));
  EXPECT_EQ(log.last_info.at("trace_metadata").at("mlflow.trace.session").as_string(), "s");
  EXPECT_EQ(log.last_info.at("trace_metadata").at("mlflow.trace.user").as_string(), "u");
  EXPECT_EQ(log.first_info.at("tags").at("env").as_string(), "prod");
}

TEST_P(ChatRouteTest, BadInputIsRefusedBeforeAnythingIsWritten) {
  body = R"({"message":1})";
  chat("/chat/stream", {"x"});
  EXPECT_EQ(seen, (Seen{"respond 422"}));
  EXPECT_EQ(journalled(), 0u);
}

TEST_P(ChatRouteTest, AModelsFailureIsAnEventAndAnErrorTrace) {
  chat("/chat/stream", {"Hel", "!overloaded"});
  EXPECT_EQ(Seen(seen.end() - 4, seen.end()), (Seen{"write token", "log ERROR", "write error", "end"}));
  EXPECT_EQ(stream.events.back().at("error").as_string(), "overloaded");
  EXPECT_EQ(log.last_span.at("status").at("message").as_string(), "overloaded");
  EXPECT_EQ(log.last_span.at("attributes").at("response").as_string(), "\"Hel\"");
  EXPECT_EQ(journalled(), 0u);
}

TEST_P(ChatRouteTest, AModelsFailureIsABadGatewayForAWholeAnswer) {
  chat("/chat", {"!overloaded"});
  EXPECT_EQ(Seen(seen.end() - 2, seen.end()), (Seen{"log ERROR", "respond 502"}));
  EXPECT_EQ(stream.response.content_type, problem_type);
  EXPECT_NE(stream.response.body.find("overloaded"), std::string::npos);
}

TEST_P(ChatRouteTest, AClientThatWentAwayAbortsTheModelAndEndsTheTraceInError) {
  stream.writes_left = 2;
  chat("/chat/stream", {"one", "two", "three"});
  EXPECT_EQ(seen.end()[-2], "model aborted");
  EXPECT_EQ(seen.end()[-1], "log ERROR");
  EXPECT_EQ(std::count(seen.begin(), seen.end(), "pull three"), 0);
  EXPECT_EQ(log.last_span.at("status").at("message").as_string(), "client went away");
  EXPECT_EQ(journalled(), 0u);
}

TEST_P(ChatRouteTest, AClientThatWentAwayWhileTheModelIsSilentIsNoticed) {
  for (const auto* path : {"/chat", "/chat/stream"}) {
    seen.clear();
    config.gone_poll = 5ms;
    stream.client_gone = false;
    asio::steady_timer leaves(context, 20ms);
    leaves.async_wait([&](auto) { stream.client_gone = true; });
    chat(path, {"..."});
    EXPECT_EQ(Seen(seen.end() - 2, seen.end()), (Seen{"model aborted", "log ERROR"})) << path;
  }
}

TEST_P(ChatRouteTest, ASilentModelIsCoveredByHeartbeatsAndCutAtChatMax) {
  config.heartbeat_every = 10ms;
  config.gone_poll = 5ms;
  config.chat_max = 200ms;
  chat("/chat/stream", {"..."});
  EXPECT_GE(std::erase(seen, "write comment"), 3u);  // one may be due while the chat is being cut
  EXPECT_EQ(Seen(seen.end() - 4, seen.end()), (Seen{"model aborted", "log ERROR", "write error", "end"}));
  EXPECT_EQ(stream.events.back().at("error").as_string(), "the answer took longer than this server allows");
  config.heartbeat_every = 10s;
  chat("/chat", {"..."});
  EXPECT_EQ(seen.back(), "respond 504");
}

TEST_P(ChatRouteTest, AnAnswerOverItsBoundIsCut) {
  config.answer_bytes_max = 10;
  chat("/chat/stream", {"12345678", "9", "0123"});
  EXPECT_EQ(Seen(seen.end() - 4, seen.end()), (Seen{"model aborted", "log ERROR", "write error", "end"}));
  EXPECT_EQ(stream.events.back().at("error").as_string(), "the answer grew longer than this server allows");
}

TEST_P(ChatRouteTest, AnAnswerThatIsTooLongForTheTraceIsCutThereAndWholeForItsReader) {
  config.response_bytes_max = 10;
  for (const auto* path : {"/chat", "/chat/stream"}) {
    chat(path, {"12345678", "9", "0123", "4"});
    EXPECT_NE(std::find(seen.end() - 3, seen.end(), "log OK"), seen.end()) << path;
    const auto& attributes = log.last_span.at("attributes").as_object();
    EXPECT_EQ(attributes.at("response").as_string(), "\"1234567890\"") << path;
    EXPECT_EQ(attributes.at("truncated").as_string(), "true") << path;
  }
  EXPECT_EQ(json::parse(stream.response.body).at("response").as_string(), "12345678901234");
  std::string streamed;
  for (const auto& event : stream.events)
    if (event.at("type").as_string() == "token") streamed += event.at("content").as_string();
  EXPECT_EQ(streamed, "12345678901234");
}

TEST_P(ChatRouteTest, OfAnAnswerThatIsPassedOnWholeTheTraceKeepsWhatItHasRoomFor) {
  struct Whole final : ChatBackend {
    Task<Result<Models, ChatFailure>> models(std::string) override { co_return ChatFailure{"none"}; }
    Task<Started> start(ChatQuestion) override {
      ChatPiece piece{.content = "12345678\u00e9x", .raw = "{}"};
      piece.tool_calls.push_back({.id = "c1"});
      std::unique_ptr<ChatAnswer> answer = std::make_unique<WholeAnswer>(std::move(piece));
      co_return std::move(answer);
    }
  } model;
  config.response_bytes_max = 9;
  chat("/chat", model);
  EXPECT_EQ(seen.back(), "respond 200");
  const auto outputs = json::parse(log.last_span.at("attributes").at("mlflow.spanOutputs").as_string());
  EXPECT_EQ(outputs.at("response").as_string(), "12345678") << "as much as fits, between two characters";
  EXPECT_TRUE(outputs.at("truncated").as_bool());
}

TEST_P(ChatRouteTest, ALogThatRefusesIsA503AndNoIdLeaves) {
  log.failing = Error::log_full;
  chat("/chat/stream", {"x"});
  EXPECT_EQ(seen, (Seen{"respond 503"}));
  EXPECT_EQ(journalled(), 0u);
}

TEST_P(ChatRouteTest, ABeginningThatMayBeInTheLogIsClosedOnceTheLogIsBack) {
  log.failing = Error::log_unavailable;
  chat("/chat", {"x"});
  EXPECT_EQ(seen, (Seen{"respond 503"}));
  EXPECT_EQ(journalled(), 1u);
  log.failing.reset();
  chat("/chat", {"x"});
  EXPECT_EQ(Seen(seen.end() - 3, seen.end()), (Seen{"log OK", "respond 200", "log ERROR"}));
  EXPECT_EQ(log.last_span.at("status").at("message").as_string(), "it could not be recorded when it began");
  EXPECT_EQ(journalled(), 0u);
}

TEST_P(ChatRouteTest, DoneIsNotSaidWhenTheEndIsNotDurableAndTheJournalKeepsIt) {
  struct FailsLater final : ChatBackend {
    explicit FailsLater(ListedLog& l) : log(l) {}
    struct Answer final : ChatAnswer {
      explicit Answer(ListedLog& l) : log(l) {}
      Task<Next> next() override {
        if (log.failing) co_return std::optional<ChatPiece>();
        log.failing = Error::timed_out;
        ChatPiece piece{.content = "answer"};
        co_return std::optional<ChatPiece>(std::move(piece));
      }
      ListedLog& log;
    };
    Task<Result<Models, ChatFailure>> models(std::string) override { co_return ChatFailure{"none"}; }
    Task<Started> start(ChatQuestion) override {
      std::unique_ptr<ChatAnswer> answer = std::make_unique<Answer>(log);
      co_return std::move(answer);
    }
    ListedLog& log;
  } model(log);
  chat("/chat/stream", model);
  EXPECT_EQ(Seen(seen.end() - 2, seen.end()), (Seen{"write error", "end"}));
  EXPECT_EQ(journalled(), 1u);
  log.failing.reset();
  // As after a restart: what had been answered is recorded as it was.
  ChatJournal next_life(disk);
  EXPECT_EQ(*next_life.load(), 1u);
  EXPECT_EQ(*run_task(context, next_life.close_left_over(log, clock.now(), 10)), 0u);
  EXPECT_EQ(seen.back(), "log OK");
  EXPECT_EQ(log.last_span.at("attributes").at("response").as_string(), "\"answer\"");
  EXPECT_EQ(journalled(), 0u);
}

TEST_P(ChatRouteTest, TheModelsOwnCountOfTokensIsKept) {
  ScriptedModel model(seen, {"all of it"});
  model.tokens = 7;
  chat("/chat", model);
  EXPECT_EQ(log.last_span.at("attributes").at("token_count").as_string(), "7");
}

TEST_P(ChatRouteTest, AChatThatADrainCutsIsRecordedAsAnError) {
  asio::cancellation_signal signal;
  asio::steady_timer insists(context, 20ms);
  insists.async_wait([&](auto) { signal.emit(asio::cancellation_type::terminal); });
  ScriptedModel model(seen, {"one", "..."});
  chat("/chat/stream", model, &signal);
  EXPECT_EQ(std::count(seen.begin(), seen.end(), "log ERROR"), 1);
  EXPECT_EQ(log.last_span.at("status").at("message").as_string(), "the front door is shutting down");
  EXPECT_EQ(journalled(), 0u);
}

TEST_P(ChatRouteTest, TheBuiltInResponderSaysWhatItWasToldWordByWord) {
  BuiltinResponder model(1ms);
  body = R"({"message":"a long question"})";
  chat("/chat/stream", model);
  std::string said;
  for (const auto& event : stream.events)
    if (event.at("type") == "token") said += event.at("content").as_string();
  EXPECT_TRUE(said.starts_with("You said: a long question\n\n"));
  EXPECT_GT(stream.events.size(), 10u);
  EXPECT_EQ(seen.back(), "end");
}

TEST_P(ChatRouteTest, WhileAChatIsUnderWayItStandsInTheJournal) {
  struct Looks final : ChatBackend {
    explicit Looks(ChatFixture& f) : fixture(f) {}
    struct Answer final : ChatAnswer {
      explicit Answer(ChatFixture& f) : fixture(f) {}
      Task<Next> next() override {
        EXPECT_EQ(fixture.journalled(), 1u);
        co_return std::optional<ChatPiece>();
      }
      ChatFixture& fixture;
    };
    Task<Result<Models, ChatFailure>> models(std::string) override { co_return ChatFailure{"none"}; }
    Task<Started> start(ChatQuestion) override {
      std::unique_ptr<ChatAnswer> answer = std::make_unique<Answer>(fixture);
      co_return std::move(answer);
    }
    ChatFixture& fixture;
  } model(*this);
  chat("/chat", model);
  EXPECT_EQ(seen.back(), "respond 200");
  EXPECT_EQ(journalled(), 0u);
  EXPECT_EQ(journal.entries(), 0u);
}

struct ChatJournalTest : ChatFixture {
  ChatTrace chat_named(const std::string& id) {
    return {.trace_id = "tr-" + std::string(32 - id.size(), '0') + id,
            .span_id = "dbbb259166b0f99a",
            .client_request_id = "req-" + id,
            .experiment_id = "0",
            .name = "chat",
            .message = "hi",
            .started_at = clock.now() - 5s};
  }
};

TEST_F(ChatJournalTest, ClosesWhatARestartFoundOpenWithAReason) {
  ASSERT_TRUE(journal.open(chat_named("1")));
  ASSERT_TRUE(journal.open(chat_named("2")));
  ChatJournal next_life(disk);
  EXPECT_EQ(*next_life.load(), 2u);
  EXPECT_EQ(*run_task(context, next_life.close_left_over(log, clock.now(), 1)), 1u);
  EXPECT_EQ(*run_task(context, next_life.close_left_over(log, clock.now(), 5)), 0u);
  EXPECT_EQ(seen, (Seen{"log ERROR", "log ERROR"}));
  EXPECT_EQ(log.last_span.at("status").at("message").as_string(), "the front door was restarted while it answered");
  EXPECT_EQ(log.last_info.at("execution_duration").as_string(), "5s");
  EXPECT_TRUE(log.ids.empty());
  EXPECT_EQ(journalled(), 0u);
}

TEST_F(ChatJournalTest, KeepsWhatTheLogDoesNotTake) {
  ASSERT_TRUE(journal.open(chat_named("1")));
  ChatJournal next_life(disk);
  ASSERT_TRUE(next_life.load());
  log.failing = Error::log_unavailable;
  EXPECT_FALSE(run_task(context, next_life.close_left_over(log, clock.now(), 5)));
  EXPECT_EQ(next_life.left_over(), 1u);
  log.failing.reset();
  EXPECT_EQ(*run_task(context, next_life.close_left_over(log, clock.now(), 5)), 0u);
  EXPECT_EQ(seen, (Seen{"log ERROR"}));
}

TEST_F(ChatJournalTest, IsBounded) {
  ChatJournal small(disk, 2);
  EXPECT_TRUE(small.open(chat_named("1")));
  EXPECT_TRUE(small.open(chat_named("2")));
  const auto third = small.open(chat_named("3"));
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error(), Error::over_capacity);
  small.close(chat_named("1"));
  EXPECT_TRUE(small.open(chat_named("3")));
}

TEST_F(ChatJournalTest, AChatOfWhichTheDiskTookNothingHasNoPlaceForEver) {
  struct FullDisk final : KeyValue {
    Result<std::optional<std::string>> get(Family, std::string_view) const override {
      return std::optional<std::string>();
    }
    Result<std::vector<std::optional<std::string>>> multi_get(Family,
                                                              std::span<const std::string> keys) const override {
      return std::vector<std::optional<std::string>>(keys.size());
    }
    Result<void> scan(Family, std::string_view, std::string_view, const Visit&) const override { return {}; }
    Result<void> scan_back(Family, std::string_view, std::string_view, const Visit&) const override { return {}; }
    Result<void> write(const Changes&) override { return Error::storage_failed; }
  } full;
  ChatJournal in_log(full, 1, nullptr, true);
  ASSERT_TRUE(in_log.open(chat_named("1")));
  in_log.leave_over(chat_named("1"), opened_trace(chat_named("1")), log);
  EXPECT_FALSE(in_log.open(chat_named("2")));
  EXPECT_EQ(*run_task(context, in_log.close_left_over(log, clock.now(), 5)), 0u);
  EXPECT_EQ(in_log.entries(), 0u);
  EXPECT_TRUE(in_log.open(chat_named("2")));
}

TEST_F(ChatJournalTest, WhatItCannotReadIsDroppedAndSaid) {
  Changes changes;
  changes.put(Family::journal, "chat/tr-x", "garbage");
  ASSERT_TRUE(disk.write(changes));
  ASSERT_TRUE(journal.load());
  EXPECT_EQ(*run_task(context, journal.close_left_over(log, clock.now(), 5)), 0u);
  EXPECT_EQ(journalled(), 0u);
  EXPECT_TRUE(seen.empty());
}

}  // namespace
}  // namespace assay
