// Streams that outlive their readers: gathering, back-pressure, resume, stop. The model says what the test pushes.
#include <algorithm>
#include <list>
#include <thread>

#include "ops/runtime/cancelled.hpp"
#include "tests/unit/ingest/chat_fixture.hpp"

namespace assay {
namespace {

using namespace chat_test;

// One answer, token by token as the test says; from any thread.
class PushedModel final : public ChatBackend {
 public:
  Task<Result<Models, ChatFailure>> models(std::string) override { co_return ChatFailure{"none"}; }
  Task<Started> start(ChatQuestion) override {
    std::unique_ptr<ChatAnswer> answer = std::make_unique<Answer>(*this);
    co_return std::move(answer);
  }
  void push(std::string token) {
    const std::lock_guard lock(mutex_);
    tokens_.push_back(std::move(token));
    if (waiter_) waiter_->wake();
  }
  void end() { push(""); }
  int pulled() const { return pulled_; }
  bool aborted() const { return aborted_; }

 private:
  struct Answer final : ChatAnswer {
    explicit Answer(PushedModel& m) : model(m) {}
    ~Answer() override {
      if (!complete) model.aborted_ = true;
    }
    Task<Next> next() override {
      auto waiter = std::make_shared<Waiter>(co_await asio::this_coro::executor);
      for (;;) {
        {
          const std::lock_guard lock(model.mutex_);
          model.waiter_ = waiter;
          if (!model.tokens_.empty()) {
            ChatPiece piece{.content = model.tokens_.front()};
            model.tokens_.pop_front();
            ++model.pulled_;
            complete = piece.content.empty();
            if (complete) co_return std::optional<ChatPiece>();
            co_return std::optional<ChatPiece>(std::move(piece));
          }
        }
        co_await waiter->wait(Waiter::Time::max());
        if (co_await is_cancelled()) co_return ChatFailure{"aborted"};
      }
    }
    PushedModel& model;
    bool complete = false;
  };
  std::mutex mutex_;
  std::deque<std::string> tokens_;
  std::shared_ptr<Waiter> waiter_;
  std::atomic<int> pulled_{0};
  std::atomic<bool> aborted_{false};
};

// A reader that the test can hold up.
class HeldStream final : public ListedStream {
 public:
  HeldStream(Seen& seen, IoContext& context)
      : ListedStream(seen), go_(std::make_shared<Waiter>(context.get_executor())) {}
  Task<Result<void>> write(std::string_view bytes) override {
    while (held) co_await go_->wait(Waiter::Time::max());
    co_return co_await ListedStream::write(bytes);
  }
  void release() {
    held = false;
    go_->wake();
  }
  bool held = false;

 private:
  std::shared_ptr<Waiter> go_;
};

struct LiveChatTest : ChatFixture {
  LiveChatTest() {
    config.resume_max = 1h;
    config.unread_bytes_max = 1000;
  }
  struct Call {
    explicit Call(std::string p) : path(std::move(p)) {}
    std::string path, query;  // what the request's views point to
    std::vector<HeaderField> headers;
    Request request;
    Admission::Permit permit;
    asio::cancellation_signal signal;
    bool ended = false;
  };

  void open() { open(model); }
  void open(ChatBackend& with) {
    live.emplace(config, metrics);
    services.emplace(ChatServices{config, log, with, journal, metrics, clock, *live});
    add_chat_routes(router, *services);
  }
  Call& call(http::verb method, std::string path, ListedStream& to, std::vector<HeaderField> with = {},
             IoContext* on = nullptr) {
    auto& c = *calls.emplace_back(std::make_unique<Call>(std::move(path)));
    if (const auto mark = c.path.find('?'); mark != std::string::npos) {
      c.query = c.path.substr(mark + 1);
      c.path.resize(mark);
    }
    c.headers = std::move(with);
    const auto found = router.find(method, c.path);
    EXPECT_TRUE(found.route);
    c.request = {.method = method, .path = c.path, .query = c.query, .body = body, .headers = c.headers};
    params.push_back(found.params);
    c.request.params = {params.back()[0], params.back()[1]};
    c.permit = std::move(*admission.try_admit(10, Admission::Kind::chat));
    c.request.permit = &c.permit;
    auto& context_of = on ? *on : context;
    auto on_end = [&c](std::exception_ptr thrown) {
      c.ended = true;
      EXPECT_FALSE(thrown);
    };
    asio::co_spawn(context_of, std::get<StreamHandler>(found.route->handler)(c.request, to),
                   asio::bind_cancellation_slot(c.signal.slot(), std::move(on_end)));
    if (!on) settle();
    return c;
  }
  // Lets everything happen that needs no time.
  void settle() {
    context.restart();
    while (context.poll() > 0) {
    }
  }
  void push(std::string token) {
    model.push(std::move(token));
    settle();
  }
  std::string header(const ListedStream& of, const std::string& name) {
    for (const auto& [n, v] : of.headers)
      if (n == name) return v;
    return {};
  }
  std::string said(const ListedStream& by) {
    std::string out;
    for (const auto& event : by.events)
      if (event.at("type") == "token") out += event.at("content").as_string();
    return out;
  }
  // Starts a stream and lets its reader leave behind "one".
  void start_and_leave() {
    open();
    stream.writes_left = 2;
    call(http::verb::post, "/chat/stream", stream);
    push("one");
    push(" two");
    EXPECT_TRUE(calls.back()->ended) << "it left";
    token = header(stream, "X-Resume-Token");
    path = "/chat/stream/" + header(stream, "X-Trace-Id");
  }
  std::string error_of(ListedStream& to, std::vector<HeaderField> with, std::string where = {}) {
    call(http::verb::get, where.empty() ? path : where, to, std::move(with));
    return std::to_string(to.response.status);
  }

  PushedModel model;
  std::optional<LiveChats> live;
  std::optional<ChatServices> services;
  Router router;
  std::list<std::array<std::string, 2>> params;
  std::vector<std::unique_ptr<Call>> calls;
  std::string token, path;
  ListedStream second{seen};
};

TEST_F(LiveChatTest, TheFirstBytesAreWrittenBeforeTheModelSpeaks) {
  open();
  call(http::verb::post, "/chat/stream", stream);
  EXPECT_EQ(Seen(seen.end() - 2, seen.end()), (Seen{"begin 200 text/event-stream", "write comment"}));
  EXPECT_EQ(model.pulled(), 0);
  push("x");
  model.end();
  settle();
  EXPECT_EQ(seen.back(), "end");
}

TEST_F(LiveChatTest, TokensFasterThanTheIntervalAreOneEventAndNothingWaitsAtTheEnd) {
  config.token_interval = 1h;
  open();
  call(http::verb::post, "/chat/stream", stream);
  // The first word goes out behind the beginning only where that is an interval ago; all of them at the end.
  push("a");
  push("b");
  push("\u00e9");
  EXPECT_TRUE(stream.events.empty() || said(stream) == "a");
  model.end();
  settle();
  EXPECT_EQ(said(stream), "ab\u00e9");
  EXPECT_LE(stream.events.size(), 3u);
  EXPECT_EQ(stream.events.back().at("type").as_string(), "done");
  EXPECT_EQ(stream.ids.back(), 5) << "bytes of the answer, and one";
}

TEST_F(LiveChatTest, AnIdIsHowManyBytesOfTheAnswerItsReaderHas) {
  open();
  call(http::verb::post, "/chat/stream", stream);
  push("Gr");
  push("\u00f6\u00dfe");
  model.end();
  settle();
  EXPECT_EQ(stream.ids, (std::vector<int>{2, 7, 8}));
}

TEST_F(LiveChatTest, ASlowReaderHoldsBackTheModel) {
  HeldStream slow(seen, context);
  config.unread_bytes_max = 10;
  open();
  call(http::verb::post, "/chat/stream", slow);
  slow.held = true;
  for (int i = 0; i < 100; ++i) push("12345");
  EXPECT_LE(model.pulled(), 4) << "what is being written, and a bounded rest";
  slow.release();
  settle();
  EXPECT_EQ(model.pulled(), 100);
  model.end();
  settle();
  EXPECT_EQ(said(slow).size(), 500u);
}

TEST_F(LiveChatTest, AReaderThatComesBackGetsTheRest) {
  start_and_leave();
  EXPECT_FALSE(model.aborted());
  call(http::verb::get, path, second, {{"X-Resume-Token", token}, {"Last-Event-ID", "3"}});
  push(" three");
  model.end();
  settle();
  EXPECT_EQ(said(second), " two three");
  EXPECT_EQ(second.events.back().at("type").as_string(), "done");
  EXPECT_EQ(second.ids.back(), 14);
  EXPECT_EQ(header(second, "X-Trace-Id"), header(stream, "X-Trace-Id"));
  EXPECT_EQ(log.last_info.at("state").as_string(), "OK");
  EXPECT_EQ(log.last_span.at("attributes").at("response").as_string(), "\"one two three\"");
}

TEST_F(LiveChatTest, AnAnswerThatEndedMeanwhileIsStillThere) {
  start_and_leave();
  model.end();
  settle();
  EXPECT_EQ(seen.back(), "log OK");
  call(http::verb::get, path + "?resume_token=" + token, second);
  EXPECT_EQ(said(second), "one two");
  EXPECT_EQ(second.events.back().at("type").as_string(), "done");
}

TEST_F(LiveChatTest, AChatThatLostItsReaderKeepsItsPlaceInTheBudgetUntilItEndsWhoeverReadsIt) {
  start_and_leave();
  calls.back()->permit = {};  // as its session does
  EXPECT_EQ(admission.requests_in_flight(), 1u);
  for (const auto method : {http::verb::get, http::verb::delete_})
    EXPECT_FALSE(router.find(method, path).route->options.admission) << "who comes back needs no place of his own";
  second.writes_left = 2;
  call(http::verb::get, path, second, {{"X-Resume-Token", token}});
  push(" three");
  push(" four");
  ASSERT_TRUE(calls.back()->ended);
  calls.back()->permit = {};
  EXPECT_EQ(admission.requests_in_flight(), 1u);
  model.end();
  settle();
  EXPECT_EQ(admission.requests_in_flight(), 0u);
}

TEST_F(LiveChatTest, OnlyTheOneWhoStartedItGoesOn) {
  start_and_leave();
  ListedStream a(seen), b(seen), c(seen), d(seen), e(seen), f(seen), g(seen);
  auto other = token;
  other.back() = other.back() == '0' ? '1' : '0';
  const std::string foreign = "rt-" + std::string(48, '0');
  EXPECT_EQ(error_of(a, {}), "403");
  EXPECT_EQ(error_of(b, {{"X-Resume-Token", other}}), "403");
  EXPECT_EQ(error_of(c, {{"X-Resume-Token", token}}, "/chat/stream/tr-unknown"), "404");
  EXPECT_EQ(error_of(d, {{"X-Resume-Token", foreign}}, "/chat/stream/tr-unknown"), "421");
  for (const auto* id : {"x", "-1", "8", "99999999999999999999999", "1 "}) {
    ListedStream bad(seen);
    EXPECT_EQ(error_of(bad, {{"X-Resume-Token", token}, {"Last-Event-ID", id}}), "400") << id;
  }
  call(http::verb::delete_, path, e, {{"X-Resume-Token", other}});
  EXPECT_EQ(e.response.status, 403u);
  EXPECT_FALSE(model.aborted());
  model.end();
  settle();
  EXPECT_EQ(error_of(f, {{"X-Resume-Token", token}, {"Last-Event-ID", "8"}}), "204") << "it has had all of it";
  EXPECT_EQ(error_of(g, {{"X-Resume-Token", token}, {"Last-Event-ID", "9"}}), "400");
}

TEST_F(LiveChatTest, ACharacterIsNotCutByAnId) {
  open();
  call(http::verb::post, "/chat/stream", stream);
  push("\u00e9");
  ListedStream cut(seen);
  path = "/chat/stream/" + header(stream, "X-Trace-Id");
  EXPECT_EQ(error_of(cut, {{"X-Resume-Token", header(stream, "X-Resume-Token")}, {"Last-Event-ID", "1"}}), "400");
  model.end();
  settle();
}

TEST_F(LiveChatTest, TheLatestReaderWins) {
  open();
  call(http::verb::post, "/chat/stream", stream);
  push("one");
  path = "/chat/stream/" + header(stream, "X-Trace-Id");
  call(http::verb::get, path, second, {{"X-Resume-Token", header(stream, "X-Resume-Token")}, {"Last-Event-ID", "3"}});
  EXPECT_EQ(stream.events.back().at("type").as_string(), "error");
  EXPECT_TRUE(calls.front()->ended);
  push(" two");
  model.end();
  settle();
  EXPECT_EQ(said(second), " two");
  EXPECT_EQ(second.events.back().at("type").as_string(), "done");
}

TEST_F(LiveChatTest, WhatAnAnswerCanBeRatedWithComesWithItsFirstBytesAndWithItsFailure) {
  ScriptedModel breaks(seen, {"Half an", "!overloaded"});
  open(breaks);
  services->feedback_token = [](auto trace_id, auto, auto) { return "token of " + std::string(trace_id); };
  call(http::verb::post, "/chat/stream", stream);
  const auto trace_id = header(stream, "X-Trace-Id");
  EXPECT_EQ(header(stream, "X-Feedback-Token"), "token of " + trace_id);
  const auto& failed = stream.events.back();
  EXPECT_EQ(failed.at("error").as_string(), "overloaded");
  EXPECT_EQ(failed.at("trace_id").as_string(), trace_id);
  EXPECT_EQ(failed.at("client_request_id").as_string(), header(stream, "X-Client-Request-Id"));
  EXPECT_EQ(failed.at("feedback_token").as_string(), "token of " + trace_id);
  // Who comes back is told it again.
  call(http::verb::get, "/chat/stream/" + trace_id, second, {{"X-Resume-Token", header(stream, "X-Resume-Token")}});
  EXPECT_EQ(header(second, "X-Feedback-Token"), "token of " + trace_id);
  EXPECT_EQ(second.events.back(), failed);
}

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

TEST_F(LiveChatTest, WhatHasEndedIsHeldWithinItsBound) {
  config.held_bytes_max = 500;
  start_and_leave();
  model.end();
  settle();
  EXPECT_EQ(metrics.held_bytes.Value(), 0);
  ListedStream gone(seen);
  EXPECT_EQ(error_of(gone, {{"X-Resume-Token", token}}), "404");
}

TEST_F(LiveChatTest, AReaderMayComeBackOnAnotherThread) {
  start_and_leave();
  context.restart();
  auto work = std::make_optional(asio::make_work_guard(context));
  std::thread home([&] { context.run(); });
  IoContext other(1);
  Seen seen_there;  // by the other thread; the log lists on this one
  ListedStream there(seen_there);
  auto& back = call(http::verb::get, path, there, {{"X-Resume-Token", token}}, &other);
  std::thread talks([&] {
    for (int i = 0; i < 500; ++i) model.push(" word");
    model.end();
  });
  other.run_for(20s);
  EXPECT_TRUE(back.ended);
  talks.join();
  work.reset();
  home.join();
  EXPECT_EQ(said(there).size(), 7u + 2500u);
  EXPECT_EQ(there.events.back().at("type").as_string(), "done");
}

}  // namespace
}  // namespace assay
