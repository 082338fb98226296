#pragma once
// Streams that outlive their readers. The model says what the test pushes.
#include <atomic>
#include <deque>
#include <list>
#include <mutex>

#include "ingest/openai/openai_routes.hpp"
#include "ops/runtime/cancelled.hpp"
#include "tests/unit/ingest/chat_fixture.hpp"

namespace assay::chat_test {

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
  // Its timer is of the context that the answer was asked for in.
  void outlive_the_context() {
    const std::lock_guard lock(mutex_);
    waiter_.reset();
  }
  int pulled() const { return pulled_; }
  bool aborted() const { return aborted_; }

  bool raw = false;  // each piece has its event, of a type by its token

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
            if (model.raw) piece.raw = R"({"type":")" + piece.content + R"("})";
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
    c.request.key_id = key_id;
    c.request.shows_capability = shows_capability;
    c.request.joins_traces = joins_traces;
    c.request.head = head;
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
  void start_and_leave(std::vector<HeaderField> with = {}) {
    open();
    stream.writes_left = 2;
    call(http::verb::post, "/chat/stream", stream, std::move(with));
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
  // Of the calls that come.
  std::string_view key_id;
  bool shows_capability = false, joins_traces = true, head = false;
  ListedStream second{seen};
};

}  // namespace assay::chat_test
