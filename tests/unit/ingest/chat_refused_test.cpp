// Chats whose records the log does not take.
#include "ops/runtime/run_task.hpp"
#include "tests/unit/ingest/chat_fixture.hpp"

namespace assay {
namespace {

using namespace chat_test;

struct ChatRefusedTest : ChatFixture, testing::WithParamInterface<bool> {
  ChatRefusedTest() : ChatFixture(GetParam()) {}
};
INSTANTIATE_TEST_SUITE_P(Journal, ChatRefusedTest, testing::Bool(),
                         [](const auto& in_log) { return in_log.param ? "InTheLog" : "OnItsOwn"; });

TEST_P(ChatRefusedTest, AnEndThatIsTooLongForTheLogIsRecordedCut) {
  log.record_bytes_max = 100'000;
  const std::string answer(30'000, '\\');  // each of them four bytes, twice
  chat("/chat", {answer});
  EXPECT_EQ(Seen(seen.end() - 2, seen.end()), (Seen{"log OK", "respond 200"}));
  EXPECT_EQ(json::parse(stream.response.body).at("response").as_string(), answer);
  const auto& attributes = log.last_span.at("attributes").as_object();
  EXPECT_EQ(attributes.at("truncated").as_string(), "true");
  EXPECT_EQ(json::parse(attributes.at("response").as_string()).as_string(), answer.substr(0, 4096));
  EXPECT_EQ(journalled(), 0u);
  EXPECT_EQ(journal.entries(), 0u);
}

TEST_P(ChatRefusedTest, WhatIsRefusedBeforeAnythingIsWrittenLeavesNothingToClose) {
  log.failing = Error::log_changed;
  chat("/chat", {"x"});
  EXPECT_EQ(seen, (Seen{"respond 503"}));
  EXPECT_EQ(journalled(), 0u);
  EXPECT_EQ(journal.entries(), 0u);
}

// Where its disk is the log's own, which hangs. Kafka may have taken what it does not answer for.
TEST_P(ChatRefusedTest, WhatIsNotAnsweredForIsToBeClosedButByALogThatHangs) {
  log.failing = Error::log_unavailable;
  log.hangs = true;
  chat("/chat", {"x"});
  EXPECT_EQ(seen, (Seen{"respond 503"}));
  EXPECT_EQ(journalled(), GetParam() ? 0u : 1u);
  EXPECT_EQ(journal.entries(), GetParam() ? 0u : 1u);
}

// At its end something happens.
struct EndsWith final : ChatBackend {
  explicit EndsWith(std::function<void()> a) : act(std::move(a)) {}
  struct Answer final : ChatAnswer {
    explicit Answer(EndsWith& m) : model(m) {}
    Task<Next> next() override {
      model.act();
      co_return std::optional<ChatPiece>();
    }
    EndsWith& model;
  };
  Task<Result<Models, ChatFailure>> models(std::string) override { co_return ChatFailure{"none"}; }
  Task<Started> start(ChatQuestion) override {
    std::unique_ptr<ChatAnswer> answer = std::make_unique<Answer>(*this);
    co_return std::move(answer);
  }
  std::function<void()> act;
};

TEST_P(ChatRefusedTest, AnEndIsNotWrittenToADiskThatTheLogHangsAt) {
  EndsWith model([this] {
    log.failing = Error::log_unavailable;
    log.hangs = true;
  });
  chat("/chat", model);
  EXPECT_EQ(seen.back(), "respond 503");
  log.failing.reset();
  log.hangs = false;
  EXPECT_EQ(*run_task(context, journal.close_left_over(log, clock.now(), 5)), 0u);
  EXPECT_EQ(seen.back(), GetParam() ? "log ERROR" : "log OK") << "on a disk of its own it is kept";
  EXPECT_EQ(journalled(), 0u);
}

TEST_P(ChatRefusedTest, AnEndThatWasLeftOverAndIsTooLongIsRecordedWithoutItsSpan) {
  const ChatTrace asked{.trace_id = "tr-" + std::string(32, '1'),
                        .span_id = "dbbb259166b0f99a",
                        .client_request_id = "req-1",
                        .experiment_id = "0",
                        .name = "chat",
                        .message = "hi",
                        .started_at = clock.now()};
  ASSERT_TRUE(journal.open(asked));
  const ChatOutcome outcome{.response = std::string(30'000, 'x'), .ended_at = clock.now()};
  journal.leave_over(asked, ended_trace(asked, outcome), log);
  log.record_bytes_max = 20'000;
  EXPECT_EQ(*run_task(context, journal.close_left_over(log, clock.now(), 5)), 0u);
  EXPECT_EQ(seen, (Seen{"log OK"}));
  EXPECT_TRUE(log.last_span.empty());
  EXPECT_EQ(journalled(), 0u);
  EXPECT_EQ(journal.entries(), 0u);
}

TEST_P(ChatRefusedTest, WhatIsThrownWhileItBeginsOrEndsLeavesItToBeClosed) {
  EndsWith model([this] { log.throws = true; });
  chat("/chat", model);
  EXPECT_EQ(seen.back(), "respond 500");
  EXPECT_EQ(journal.left_over(), 1u);

  LiveChats live(config, metrics);
  ChatServices services{config, log, model, journal, metrics, clock, live};
  ChatRequest request;
  request.message = "hi";
  EXPECT_THROW((void)run_task(context, ChatTurn::start(services, std::move(request), "chat")), std::bad_alloc);
  EXPECT_EQ(journal.left_over(), 2u);

  log.throws = false;
  EXPECT_EQ(*run_task(context, journal.close_left_over(log, clock.now(), 5)), 0u);
  EXPECT_EQ(seen.back(), "log ERROR");
  EXPECT_EQ(journalled(), 0u);
  EXPECT_EQ(journal.entries(), 0u);
}

}  // namespace
}  // namespace assay
