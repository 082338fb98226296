// How a chat ends before its answer does: stopped, left, drained; and how long it is held.
#include <algorithm>

#include "tests/unit/ingest/live_chat_fixture.hpp"

namespace assay {
namespace {

using namespace chat_test;

TEST_F(LiveChatTest, StoppingAbortsTheModelAndIsNoError) {
  open();
  services->feedback_token = [](auto trace_id, auto, auto) { return "token of " + std::string(trace_id); };
  call(http::verb::post, "/chat/stream", stream);
  push("one");
  call(http::verb::delete_, "/chat/stream/" + header(stream, "X-Trace-Id"), second,
       {{"X-Resume-Token", header(stream, "X-Resume-Token")}});
  EXPECT_TRUE(model.aborted());
  EXPECT_EQ(second.response.status, 200u);
  const auto stopped = json::parse(second.response.body);
  EXPECT_EQ(stopped.at("status").as_string(), "stopped");
  EXPECT_EQ(stopped.at("feedback_token").as_string(), "token of " + header(stream, "X-Trace-Id"));
  EXPECT_EQ(stopped.at("feedback_token"), stream.events.back().at("feedback_token"));
  EXPECT_TRUE(
      std::ranges::any_of(second.response.headers, [](const auto& h) { return h.first == "Assay-Durability"; }));
  EXPECT_EQ(stream.events.back().at("type").as_string(), "done");
  EXPECT_TRUE(stream.events.back().at("stopped").as_bool());
  EXPECT_EQ(log.last_info.at("state").as_string(), "OK");
  EXPECT_EQ(log.last_span.at("attributes").at("stopped").as_string(), "true");
  EXPECT_EQ(log.last_span.at("attributes").at("response").as_string(), "\"one\"");
  EXPECT_EQ(journalled(), 0u);
}

// It waits for one thing and then for another, as a read of several steps does, and looks at nothing in between.
TEST_F(LiveChatTest, AStopThatComesBetweenTwoWaitsIsSaidAgain) {
  struct TwoWaits final : ChatBackend {
    explicit TwoWaits(IoContext& context) : first(std::make_shared<Waiter>(context.get_executor())) {}
    struct Answer final : ChatAnswer {
      explicit Answer(TwoWaits& m) : model(m) {}
      Task<Next> next() override {
        co_await model.first->wait(Waiter::Time::max());
        asio::steady_timer second(co_await asio::this_coro::executor, 1h);
        co_await second.async_wait(as_result);
        co_return ChatFailure{"woken"};
      }
      TwoWaits& model;
    };
    Task<Result<Models, ChatFailure>> models(std::string) override { co_return ChatFailure{"none"}; }
    Task<Started> start(ChatQuestion) override {
      std::unique_ptr<ChatAnswer> answer = std::make_unique<Answer>(*this);
      co_return std::move(answer);
    }
    std::shared_ptr<Waiter> first;
  } two(context);
  open(two);
  call(http::verb::post, "/chat/stream", stream);
  two.first->wake();  // done with, but not heard of when the stop comes
  auto& stop = call(http::verb::delete_, "/chat/stream/" + header(stream, "X-Trace-Id"), second,
                    {{"X-Resume-Token", header(stream, "X-Resume-Token")}});
  context.restart();
  context.run_for(2s);
  EXPECT_TRUE(stop.ended);
  EXPECT_EQ(second.response.status, 200u);
  EXPECT_TRUE(stream.events.back().at("stopped").as_bool());
}

TEST_F(LiveChatTest, AReaderThatStaysAwayAbortsTheModel) {
  config.resume_max = 20ms;
  start_and_leave();
  context.restart();
  context.run_for(10s);
  EXPECT_TRUE(model.aborted());
  EXPECT_EQ(log.last_info.at("state").as_string(), "ERROR");
  EXPECT_EQ(log.last_span.at("status").at("message").as_string(), client_left);
  EXPECT_EQ(journalled(), 0u);
}

TEST_F(LiveChatTest, NobodyIsWaitedForWhileTheDoorDrains) {
  start_and_leave();
  live->begin_drain();
  settle();
  EXPECT_TRUE(model.aborted());
  EXPECT_EQ(log.last_info.at("state").as_string(), "ERROR");
}

TEST_F(LiveChatTest, ADrainsLastCallReachesChatsThatCantBeResumedToo) {
  open();
  add_openai_routes(router, *services);
  auto& whole = call(http::verb::post, "/chat", stream);
  live->end_all({"the server is stopping: ask again", 503});
  settle();
  EXPECT_TRUE(whole.ended);
  EXPECT_EQ(stream.response.status, 503u);
  EXPECT_NE(stream.response.body.find("stopping"), std::string::npos);
  EXPECT_EQ(log.last_info.at("state").as_string(), "ERROR");
  body = R"({"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]})";
  auto& streamed = call(http::verb::post, "/v1/chat/completions", second);
  live->end_all({"the server is stopping: ask again", 503});
  settle();
  EXPECT_TRUE(streamed.ended);
  EXPECT_EQ(second.response.status, 503u);
  EXPECT_EQ(journalled(), 0u);
}

TEST_F(LiveChatTest, WhatHasEndedIsHeldWithinItsBound) {
  config.held_bytes_max = 500;
  start_and_leave();
  model.end();
  settle();
  EXPECT_EQ(metrics.held_bytes.Value(), 0);
  ListedStream gone(seen);
  EXPECT_EQ(error_of(gone, {{"X-Resume-Token", token}}), "404");
}

TEST_F(LiveChatTest, WhatHasEndedIsLetGoOfInTimeAlsoWhereNobodyAsks) {
  start_and_leave();
  model.end();
  settle();
  EXPECT_GT(metrics.held_bytes.Value(), 0);
  live->drop_old(std::chrono::steady_clock::now() + 59min);
  EXPECT_GT(metrics.held_bytes.Value(), 0);
  live->drop_old(std::chrono::steady_clock::now() + 61min);
  EXPECT_EQ(metrics.held_bytes.Value(), 0);
}

struct AnswersRoomTest : LiveChatTest {
  static constexpr std::size_t piece = 8u << 10;  // two steps of what is taken for it, and two for what is recorded
  AnswersRoomTest() {
    config.answers_bytes_max = 4 * piece;
    config.unread_bytes_max = 1u << 20;
  }
  void push_piece(PushedModel& to) {
    to.push(std::string(piece, 'x'));
    settle();
  }
};

TEST_F(AnswersRoomTest, AnAnswerThatFindsNoRoomEndsAndGivesBackWhatItHad) {
  open();
  call(http::verb::post, "/chat/stream", stream);
  EXPECT_EQ(metrics.held_bytes.Value(), 4096);
  push_piece(model);
  push_piece(model);
  EXPECT_EQ(metrics.held_bytes.Value(), 4 * piece);
  call(http::verb::post, "/chat/stream", second);
  EXPECT_EQ(second.response.status, 503u) << "there is no room for another chat";
  push_piece(model);
  EXPECT_TRUE(model.aborted());
  EXPECT_EQ(said(stream).size(), 2 * piece);
  EXPECT_EQ(stream.events.back().at("type").as_string(), "error");
  EXPECT_NE(stream.events.back().at("error").as_string().find("no room"), std::string::npos);
  EXPECT_EQ(log.last_info.at("state").as_string(), "ERROR");
  EXPECT_EQ(log.last_span.at("attributes").at("truncated").as_string(), "true");
  EXPECT_EQ(journalled(), 0u);
  EXPECT_EQ(metrics.held_bytes.Value(), 2 * piece) << "it is held for its reader";
}

TEST_F(AnswersRoomTest, TheOldestThatHasEndedMakesRoomForOneThatGrows) {
  start_and_leave();
  push_piece(model);
  model.end();
  settle();
  const auto ended = metrics.held_bytes.Value();
  EXPECT_GT(ended, piece);
  call(http::verb::post, "/chat/stream", second);
  push_piece(model);
  EXPECT_GT(metrics.held_bytes.Value(), ended);
  push_piece(model);
  EXPECT_EQ(metrics.held_bytes.Value(), 4 * piece);
  model.end();
  settle();
  EXPECT_EQ(second.events.back().at("type").as_string(), "done");
  EXPECT_EQ(said(second).size(), 2 * piece);
  ListedStream gone(seen);
  EXPECT_EQ(error_of(gone, {{"X-Resume-Token", token}}), "404");
}

TEST_F(AnswersRoomTest, WhoseReaderTakesAllOfItOnTheWayIsOnlyCutInItsTrace) {
  config.unread_bytes_max = piece;
  open();
  add_openai_routes(router, *services);
  body = R"({"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]})";
  model.raw = true;
  call(http::verb::post, "/v1/chat/completions", stream);
  for (int i = 0; i < 10; ++i) push_piece(model);
  model.end();
  settle();
  EXPECT_EQ(seen.back(), "end");
  EXPECT_EQ(log.last_info.at("state").as_string(), "OK");
  EXPECT_EQ(log.last_span.at("attributes").at("truncated").as_string(), "true");
  EXPECT_LT(log.last_span.at("attributes").at("response").as_string().size(), 4 * piece);
  EXPECT_EQ(metrics.held_bytes.Value(), 0);
}

}  // namespace
}  // namespace assay
