// Streams that outlive their readers: gathering, back-pressure, resume.
#include <thread>

#include "tests/unit/ingest/live_chat_fixture.hpp"

namespace assay {
namespace {

using namespace chat_test;

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

TEST_F(LiveChatTest, WhoComesBackForALongAnswerIsGivenItPieceByPiece) {
  config.unread_bytes_max = 1u << 20;
  start_and_leave();
  std::string rest;
  while (rest.size() < 200'000) rest += "\u00e9";
  push(rest);
  call(http::verb::get, path, second, {{"X-Resume-Token", token}, {"Last-Event-ID", "6"}});
  model.end();
  settle();
  EXPECT_EQ(said(second), "o" + rest);
  EXPECT_GE(second.events.size(), 4u);
  for (const auto& event : second.events) EXPECT_LE(json::serialize(event).size(), 70'000u);
  EXPECT_EQ(second.events.back().at("type").as_string(), "done");
  EXPECT_EQ(static_cast<std::size_t>(second.ids.back()), 7 + rest.size() + 1);
}

TEST_F(LiveChatTest, OnlyTheOneWhoStartedItGoesOn) {
  start_and_leave();
  ListedStream a(seen), b(seen), c(seen), d(seen), e(seen), f(seen), g(seen);
  auto other = token;
  other.back() = other.back() == '0' ? '1' : '0';
  const std::string foreign = "rt-" + std::string(48, '0');
  EXPECT_EQ(error_of(a, {{"X-Resume-Token", ""}}), "403");
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

TEST_F(LiveChatTest, WhoHasNoKeyWhereOthersHaveComesBackByItsToken) {
  joins_traces = false;  // so the gate says
  start_and_leave({});
  ListedStream none(seen), stop(seen);
  EXPECT_EQ(error_of(none, {}), "403");
  call(http::verb::delete_, path, stop, {});
  EXPECT_EQ(stop.response.status, 403u);
  EXPECT_FALSE(model.aborted());
  call(http::verb::get, path, second, {{"X-Resume-Token", token}, {"Last-Event-ID", "3"}});
  EXPECT_EQ(said(second), " two");
  model.end();
  settle();
}

TEST_F(LiveChatTest, WithoutATokenOnlyWhoIsKnownAsTheOneWhoStartedItGoesOn) {
  const HeaderField ana{"X-User-ID", "ana"}, bob{"X-User-ID", "bob"}, s{"X-Session-ID", "s"},
      other{"X-Session-ID", "o"};
  key_id = "k1";
  start_and_leave({ana, s});
  const auto refused = [&](std::vector<HeaderField> with) {
    ListedStream a(seen), b(seen);
    call(http::verb::get, path, a, with);
    call(http::verb::delete_, path, b, with);
    return a.response.status == 403u && b.response.status == 403u;
  };
  EXPECT_TRUE(refused({}));
  EXPECT_TRUE(refused({ana}));
  EXPECT_TRUE(refused({s}));
  EXPECT_TRUE(refused({bob, s}));
  EXPECT_TRUE(refused({ana, other}));
  EXPECT_TRUE(refused({ana, s, {"X-Resume-Token", "rt-wrong"}})) << "a token that is given is to be right";
  EXPECT_TRUE(refused({ana, s, {"X-Resume-Token", ""}}));
  for (const auto* key : {"", "k2"}) {
    key_id = key;
    EXPECT_TRUE(refused({ana, s})) << "with another key";
  }
  key_id = "k1";
  shows_capability = true;
  EXPECT_TRUE(refused({ana, s}));
  shows_capability = false;
  EXPECT_FALSE(model.aborted());
  ListedStream unknown(seen), stopped(seen);
  EXPECT_EQ(error_of(unknown, {ana, s}, "/chat/stream/tr-unknown"), "404");
  const HeaderField in_a_trace{"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"};
  call(http::verb::get, path, second, {s, ana, in_a_trace, {"Last-Event-ID", "3"}});
  EXPECT_EQ(said(second), " two");
  call(http::verb::delete_, path, stopped, {ana, s});
  EXPECT_EQ(stopped.response.status, 200u);
  EXPECT_TRUE(model.aborted());
}

TEST_F(LiveChatTest, WhoSaysNothingOfThemselvesIsKnownByTheTracesIdWhereTheDoorChoseIt) {
  start_and_leave();
  model.end();
  settle();
  ListedStream user(seen), joined(seen), again(seen);
  EXPECT_EQ(error_of(user, {{"X-User-ID", "ana"}}), "403");
  call(http::verb::get, path, second);
  EXPECT_EQ(said(second), "one two");
  // Whose own traceparent chose it shows the token.
  call(http::verb::post, "/chat/stream", joined,
       {{"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}});
  model.end();
  settle();
  path = "/chat/stream/tr-4bf92f3577b34da6a3ce929d0e0e4736";
  EXPECT_EQ(error_of(again, {}), "403");
  ListedStream with_token(seen);
  call(http::verb::get, path, with_token, {{"X-Resume-Token", header(joined, "X-Resume-Token")}});
  EXPECT_EQ(with_token.events.back().at("type").as_string(), "done");
}

TEST_F(LiveChatTest, HeadOfAStreamHasTheHeadersOfGet) {
  start_and_leave();
  head = true;
  call(http::verb::get, path, second, {{"X-Resume-Token", token}});
  EXPECT_EQ(seen.back(), "end") << "and nothing was written";
  EXPECT_EQ(second.headers, stream.headers);
  EXPECT_TRUE(second.events.empty());
  EXPECT_FALSE(model.aborted());
  model.end();
  settle();
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
