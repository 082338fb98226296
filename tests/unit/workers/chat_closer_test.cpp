#include "workers/chat_closer.hpp"
#include "tests/support/hand_clock.hpp"

#include <gtest/gtest.h>

#include "ops/runtime/base64.hpp"
#include "ops/runtime/hex.hpp"
#include "storage/log/memory_log.hpp"
#include "storage/records/chat_span.hpp"
#include "storage/sinks/store_sink.hpp"
#include "storage/state/memory_key_value.hpp"
#include "storage/store/store.hpp"
#include "tests/support/wait_until.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;

class ChatCloserTest : public testing::Test {
 protected:
  std::unique_ptr<ChatCloser> closer(ChatCloserConfig config = {.partitions = {0}}) {
    ChatPositions positions{.load = [this](StreamPartition) -> Result<Offset> { return saved; },
                            .save = [this](auto moved) -> Result<void> {
                              for (const auto& [where, next] : moved) saved = next;
                              return {};
                            }};
    auto append = [this](Record record) -> Result<void> {
      if (refusal) return refusal;
      log.put(record);
      return {};
    };
    return std::make_unique<ChatCloser>(std::move(config), log, std::move(positions), std::move(append), clock,
                                        metrics);
  }

  static std::string info(const std::string& trace_id, const std::string& state, const std::string& more = "") {
    return R"({"trace_id":")" + trace_id + R"(","client_request_id":"req-1","state":")" + state + "\"" + more + "}";
  }
  // What a door appends when a chat begins; ten minutes at most.
  TraceRecord opened(const std::string& trace_id) const {
    return {.trace_id = trace_id,
            .accepted_at = clock.now(),
            .info = info(trace_id, "IN_PROGRESS", R"(,"request_preview":"{\"message\":\"hi\"}","tags":{"k": "v"})"),
            .ends_by = clock.now() + 10min};
  }
  void answered(const std::string& trace_id) {
    log.put(to_record(TraceRecord{.trace_id = trace_id, .accepted_at = clock.now(), .info = info(trace_id, "OK")}));
  }
  Offset end() const { return log.end({Stream::traces, 0}); }
  std::size_t turn(ChatCloser& closer) {
    const auto closed = closer.step(0ms);
    EXPECT_TRUE(closed) << closed.error().message();
    return closed ? *closed : 0;
  }
  std::size_t turns(ChatCloser& closer) {
    std::size_t closed = 0;
    for (int i = 0; i < 5; ++i) closed += turn(closer);
    return closed;
  }
  // What the store makes of all traces in the log.
  std::string state_of(const std::string& trace_id) {
    MemoryKeyValue kv;
    StoreSink sink(kv, clock);
    auto source = log.open({{{Stream::traces, 0}, 0}});
    for (auto records = (*source)->read(1000, 0ms); records && !records->empty(); records = (*source)->read(1000, 0ms))
      EXPECT_TRUE(sink.apply(*records));
    const auto info = Store(kv).trace_info(trace_id);
    if (!info || !*info) return "";
    constexpr std::string_view field = R"("state":")";
    const auto at = (*info)->find(field) + field.size();
    return (*info)->substr(at, (*info)->find('"', at) - at);
  }

  MemoryLog log;
  HandClock clock;
  Metrics metrics;
  Offset saved = 0;
  error_code refusal;
};

TEST_F(ChatCloserTest, EndsAChatWhoseDoorDidNotComeBackAndNoneBefore) {
  const auto it = closer();
  log.put(to_record(opened("tr-1")));
  EXPECT_EQ(turns(*it), 0u);
  clock += 10min;
  EXPECT_EQ(turns(*it), 0u) << "the door may be about to end it";
  clock += 2min;
  EXPECT_EQ(turns(*it), 1u);
  EXPECT_EQ(end(), 2);
  EXPECT_EQ(state_of("tr-1"), "ERROR");
  EXPECT_EQ(turns(*it), 0u);
  EXPECT_EQ(it->open(), 0u);
  EXPECT_EQ(saved, 2);
}

TEST_F(ChatCloserTest, LeavesAChatThatEndedOrWasDeletedAndOthersTraces) {
  const auto it = closer();
  for (const auto* id : {"tr-1", "tr-2", "tr-3"}) log.put(to_record(opened(id)));
  // An application's own, logged while it works: it has no limit.
  log.put(to_record(TraceRecord{.trace_id = "tr-4", .accepted_at = clock.now(), .info = info("tr-4", "IN_PROGRESS")}));
  EXPECT_EQ(turns(*it), 0u);
  EXPECT_EQ(it->open(), 3u);
  answered("tr-1");
  log.put(to_record(TraceRecord{.deleted = true, .trace_id = "tr-2", .accepted_at = clock.now()}));
  EXPECT_EQ(turns(*it), 0u);
  EXPECT_EQ(it->open(), 1u);
  clock += 1h;
  EXPECT_EQ(turns(*it), 1u);
  EXPECT_EQ(state_of("tr-1"), "OK");
  EXPECT_EQ(state_of("tr-3"), "ERROR");
  EXPECT_EQ(state_of("tr-4"), "IN_PROGRESS");
}

TEST_F(ChatCloserTest, AnEndThatStandsInTheLogUnreadIsReadFirst) {
  const auto it = closer();
  log.put(to_record(opened("tr-1")));
  turns(*it);
  clock += 1h;
  answered("tr-1");
  EXPECT_EQ(turns(*it), 0u);
  EXPECT_EQ(state_of("tr-1"), "OK");
}

TEST_F(ChatCloserTest, ManyThatAreDueAreEndedInStepsBetweenWhichItCanBeStopped) {
  auto it = closer(ChatCloserConfig{.partitions = {0}, .closes_max = 10});
  for (int i = 0; i < 25; ++i) log.put(to_record(opened("tr-" + std::to_string(i))));
  EXPECT_EQ(turns(*it), 0u);
  clock += 12min;
  EXPECT_EQ(turn(*it), 10u);
  EXPECT_EQ(turn(*it), 10u);
  EXPECT_EQ(turn(*it), 5u);
  EXPECT_EQ(turns(*it), 0u);
  EXPECT_EQ(end(), 50);
}

TEST_F(ChatCloserTest, WhereTracesComeAllTheTimeADueChatIsEndedAllTheSame) {
  auto it = closer(ChatCloserConfig{.partitions = {0}, .records_max = 1});
  log.put(to_record(opened("tr-1")));
  EXPECT_EQ(turns(*it), 0u);
  clock += 12min;
  std::size_t closed = 0;
  answered("tr-other-first");
  for (int i = 0; i < 10; ++i) {
    answered("tr-other-" + std::to_string(i));
    closed += turn(*it);
  }
  EXPECT_EQ(closed, 1u);
}

TEST_F(ChatCloserTest, ADoorThatComesBackLaterStillHasTheLastWord) {
  const auto it = closer();
  log.put(to_record(opened("tr-1")));
  const auto began = clock.now();
  turns(*it);
  clock += 1h;
  EXPECT_EQ(turns(*it), 1u);
  // Its answer had been given a second after the question; the log did not take it then.
  log.put(to_record(TraceRecord{.trace_id = "tr-1", .accepted_at = began + 1s, .info = info("tr-1", "OK")}));
  EXPECT_EQ(state_of("tr-1"), "OK");
}

TEST_F(ChatCloserTest, WhoeverTakesThePartitionOverReadsFromTheOldestOpenChatAndWritesTheSameEnd) {
  const auto first = closer();
  log.put(to_record(opened("tr-1")));
  answered("tr-0");
  turns(*first);
  EXPECT_EQ(saved, 0);
  const auto second = closer();
  turns(*second);
  clock += 1h;
  EXPECT_EQ(turns(*second), 1u);
  // The first does not know that it is out, and has not read what the second wrote.
  auto source = log.open({{{Stream::traces, 0}, 2}});
  const std::string end_of_second((*source)->read(1, 0ms)->front().value);
  EXPECT_EQ(end_of_second, *to_record(*abandoned_chat([&] {
                              auto chat = opened("tr-1");
                              chat.accepted_at -= 1h;
                              return chat;
                            }()))
                                .value);
}

TEST_F(ChatCloserTest, ALogThatRefusesIsAskedAgain) {
  const auto it = closer();
  log.put(to_record(opened("tr-1")));
  turns(*it);
  clock += 1h;
  refusal = Error::log_unavailable;
  EXPECT_FALSE(it->step(0ms));
  refusal = {};
  EXPECT_EQ(turns(*it), 1u);
  EXPECT_EQ(state_of("tr-1"), "ERROR");
}

// Another program's records: the doors' have their trace_id as their key.
TEST_F(ChatCloserTest, AChatThatStandsThereTwiceUnderOtherKeysIsEndedOnce) {
  const auto it = closer();
  for (const auto* key : {"tr-1", "other", "tr-1", "another"}) {
    auto record = to_record(opened("tr-1"));
    record.key = key;
    log.put(record);
  }
  EXPECT_EQ(turns(*it), 0u);
  EXPECT_EQ(it->open(), 1u);
  clock += 1h;
  EXPECT_EQ(turns(*it), 1u);
  EXPECT_EQ(end(), 5);
  EXPECT_EQ(it->open(), 0u);
}

TEST_F(ChatCloserTest, AnEndThatStandsInAnotherPartitionEndsItsOwnChat) {
  const auto it = closer({.partitions = {0, 1}});
  const auto put = [&](const TraceRecord& trace, Partition partition) {
    auto record = to_record(trace);
    record.partition = partition;
    log.put(record);
  };
  put(opened("tr-1"), 0);
  put(opened("tr-2"), 1);
  put({.trace_id = "tr-1", .accepted_at = clock.now(), .info = info("tr-1", "OK")}, 1);
  EXPECT_EQ(turns(*it), 0u);
  EXPECT_EQ(it->open(), 1u);
  clock += 1h;
  EXPECT_EQ(turns(*it), 1u) << "tr-2";
  EXPECT_EQ(turns(*it), 0u);
}

TEST_F(ChatCloserTest, LearningLateOfAChatGivesItsDoorATime) {
  log.put(to_record(opened("tr-1")));
  clock += 1h;
  const auto it = closer();
  EXPECT_EQ(turns(*it), 0u);
  clock += 2min;
  EXPECT_EQ(turns(*it), 1u);
}

TEST_F(ChatCloserTest, WhatIsThrownIsAFailureAsAnyOther) {
  std::atomic<int> loads{0};
  ChatPositions positions{.load = [&](StreamPartition) -> Result<Offset> {
                            if (loads++ == 0) throw std::bad_alloc();
                            return Offset(0);
                          },
                          .save = [](auto) { return Result<void>(); }};
  ChatCloser it(
      {.partitions = {0}}, log, positions, [](Record) { return Result<void>(); }, clock, metrics);
  it.start();
  wait_until([&] { return loads > 1; });
}

TEST(AbandonedChat, KeepsWhatIsKnownAndSaysWhy) {
  const TraceRecord chat{.trace_id = "tr-1",
                         .accepted_at = Instant(5s),
                         .info = R"({"trace_id":"tr-1","state":"IN_PROGRESS","tags":{"a":"b"} ,"n":1})"};
  const auto end = abandoned_chat(chat);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->info, R"({"trace_id":"tr-1","tags":{"a":"b"},"n":1,"state":"ERROR",)"
                       R"("response_preview":"{\"error\":\"the front door did not come back\"}"})");
  EXPECT_EQ(end->accepted_at, Instant(4999ms));
}

TEST(AbandonedChat, HasARootSpanThatTheDoorsOwnWouldReplace) {
  const std::string id = "tr-4bf92f3577b34da6a3ce929d0e0e4736";
  TraceRecord chat{.trace_id = id,
                   .accepted_at = Instant(5s),
                   .info = R"({"trace_id":")" + id +
                           R"(","request_time":"1970-01-01T00:00:05Z","request_preview":"{\"message\":\"hi\"}",)"
                           R"("tags":{"mlflow.traceName":"chat"}})"};
  const auto spans = abandoned_chat(chat)->spans;
  EXPECT_NE(spans.find("\"span_id\":\"" + to_base64(from_hex(root_span_id(id))) + "\""), spans.npos) << spans;
  EXPECT_NE(spans.find(R"("name":"chat","start_time_unix_nano":5000000000,"end_time_unix_nano":5000000000)"),
            spans.npos);
  EXPECT_NE(spans.find(R"("mlflow.spanInputs":"{\"message\":\"hi\"}")"), spans.npos);
  EXPECT_TRUE(parse_trace_record(*to_record(*abandoned_chat(chat)).value));
  // In a trace that it joined the caller has the last word, and the root.
  chat.from_spans = true;
  EXPECT_TRUE(abandoned_chat(chat)->from_spans);
  EXPECT_EQ(abandoned_chat(chat)->spans, "");
}

TEST_F(ChatCloserTest, AChatOfADoorWhoseClockIsBehindHasItsTimeAllTheSame) {
  log.keep_times(clock);
  auto late = opened("tr-1");
  late.accepted_at -= 1h;
  *late.ends_by -= 1h;
  log.put(to_record(late));
  const auto one = closer();
  EXPECT_EQ(turns(*one), 0u);
  clock += 9min;
  EXPECT_EQ(turns(*one), 0u) << "its ten minutes are not over";
  clock += 3min;
  EXPECT_EQ(turns(*one), 1u);
}

TEST_F(ChatCloserTest, APositionBehindTheEndOfATopicThatWasMadeAnewIsTheBeginning) {
  log.put(to_record(opened("tr-1")));
  saved = 40;
  const auto one = closer();
  turns(*one);
  EXPECT_EQ(one->open(), 1u);
  EXPECT_EQ(saved, 0) << "of the oldest chat that is open";
}

}  // namespace
}  // namespace assay
