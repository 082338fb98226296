#include "workers/restore.hpp"

#include <gtest/gtest.h>

#include <map>

#include "storage/log/memory_log.hpp"
#include "storage/records/request_record.hpp"
#include "storage/state/memory_key_value.hpp"
#include "storage/state/parked_state.hpp"
#include "tests/support/hand_clock.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;

// A log that tells the times of its records, as Kafka does.
class TimedLog final : public EventSources {
 public:
  explicit TimedLog(MemoryLog& log) : log_(log) {}
  Result<std::unique_ptr<EventSource>> open(std::vector<StartAt> starts) override {
    for (const auto& start : starts) opened.push_back(start);
    return log_.open(std::move(starts));
  }
  Partition partitions(Stream stream) const override { return log_.partitions(stream); }
  Result<Offset> first_since(StreamPartition where, Instant at) override {
    asked[where.stream] = at;
    return first[where.stream];
  }
  std::vector<StartAt> opened;
  std::map<Stream, Instant> asked;
  std::map<Stream, Offset> first;

 private:
  MemoryLog& log_;
};

TEST(Restore, OfAnEmptyStateReadsOnlyWhatTheWindowReaches) {
  HandClock clock;
  MemoryLog log;
  MemoryKeyValue state;
  TimedLog timed(log);
  for (int i = 0; i < 100; ++i) {
    const auto id = "a-" + std::to_string(i);
    log.put(to_record(FeedbackRecord{
        .target = {Target::Kind::client_request_id, "req-1"},
        .accepted_at = clock.now() + std::chrono::minutes(i),
        .body_hash = 1,
        .items = {{id, id, R"({"assessment_id":")" + id + R"(","assessment_name":"n","feedback":{"value":1}})"}}}));
  }
  timed.first[Stream::feedback] = 69;
  const ResolvePolicy policy{.dedupe_window = 20min};
  ASSERT_TRUE(Restore(timed, state, 0, policy, clock).run(90));
  // Of the last records before the committed position, offset 89 is the latest; a minute is left for clocks.
  EXPECT_EQ(timed.asked.at(Stream::feedback), clock.now() + 89min - 20min - 1min);
  const std::vector<std::string> ids{"a-68", "a-69", "a-89", "a-90"};
  const auto seen = find_seen(state, 0, ids);
  EXPECT_FALSE((*seen)[0]);
  EXPECT_TRUE((*seen)[1]);
  EXPECT_TRUE((*seen)[2]);
  EXPECT_FALSE((*seen)[3]) << "not committed yet";
  const auto meta = load_meta(state, 0);
  EXPECT_EQ(meta->feedback, 90);
  EXPECT_EQ(meta->accepted_max, clock.now() + 89min);
}

TEST(Restore, OfAnEmptyStateReadsOnlyTheRequestsThatAreKept) {
  HandClock clock;
  MemoryLog log;
  MemoryKeyValue state;
  TimedLog timed(log);
  for (int i = 0; i < 10; ++i)
    for (const auto& record : request_records("tr-" + std::to_string(i), "", clock.now())) log.put(record);
  timed.first[Stream::requests] = 4;
  const ResolvePolicy policy{.request_retention = 1h};
  ASSERT_TRUE(Restore(timed, state, 0, policy, clock).run(0));
  EXPECT_EQ(timed.asked.at(Stream::requests), clock.now() - 1h);
  const std::vector<std::string> ids{"tr-3", "tr-4"};
  const auto traces = find_traces(state, 0, ids);
  EXPECT_FALSE((*traces)[0]);
  EXPECT_TRUE((*traces)[1]);
  EXPECT_EQ(load_meta(state, 0)->requests, 10);
}

TEST(Restore, ThatIsStoppedEndsAndTheNextOneGoesOn) {
  HandClock clock;
  MemoryLog log;
  MemoryKeyValue state;
  for (const auto& record : request_records("tr-1", "req-1", clock.now())) log.put(record);
  {
    Restore restore(log, state, 0, {}, clock);
    restore.stop();
    const auto ran = restore.run(0);
    ASSERT_FALSE(ran);
    EXPECT_EQ(ran.error(), Error::stopped);
  }
  ASSERT_TRUE(Restore(log, state, 0, {}, clock).run(0));
  EXPECT_EQ(load_meta(state, 0)->requests, 2);
}

// Five of feedback that a state has decided, and then another log than it was.
class AnotherLogTest : public testing::Test {
 protected:
  void SetUp() override {
    say(5, "a");
    ASSERT_TRUE(restore(5));
  }
  void say(int records, const std::string& who) {
    for (int i = 0; i < records; ++i) {
      const auto id = who + "-" + std::to_string(i);
      log_.put(to_record(FeedbackRecord{
          .target = {Target::Kind::client_request_id, "req-1"},
          .accepted_at = clock_.now(),
          .items = {{id, id, R"({"assessment_id":")" + id + R"(","assessment_name":"n","feedback":{"value":1}})"}}}));
    }
  }
  // As an owner does: where it is another log the position moves back, to what this returns, and is believed then.
  Result<Offset> restore(Offset committed) {
    Restore restore(log_, state_, 0, {}, clock_, 100ms);
    auto ran = restore.run(committed);
    if (!ran && ran.error() == Error::log_changed) {
      EXPECT_EQ(everything(), kept_) << "it may be asked again after a crash";
      const auto decided = restore.decided(committed);
      if (!decided) return decided;
      committed = *decided;
      ran = restore.run(committed);
    }
    if (!ran) return ran.error();
    EXPECT_EQ(load_meta(state_, 0)->feedback, committed);
    kept_ = everything();
    return committed;
  }
  std::map<std::string, std::string> everything() const {
    std::map<std::string, std::string> out;
    for (const auto family : {Family::meta, Family::seen, Family::index})
      EXPECT_TRUE(state_.scan(family, "", "", [&](std::string_view key, std::string_view value) {
        out[std::to_string(static_cast<int>(family)).append(key)] = value;
        return true;
      }));
    return out;
  }
  bool knows(const std::string& id) const { return (*find_seen(state_, 0, std::vector{id}))[0].has_value(); }

  static constexpr StreamPartition feedback{Stream::feedback, 0};
  std::map<std::string, std::string> kept_;
  HandClock clock_;
  MemoryLog log_;
  MemoryKeyValue state_;
};

TEST_F(AnotherLogTest, TheSameOneGoesOn) {
  say(2, "b");
  EXPECT_EQ(*restore(5), 5);
  EXPECT_EQ(*restore(7), 7);
  EXPECT_TRUE(knows("a-0")) << "it was not thrown away";
}

TEST_F(AnotherLogTest, OneThatHasLostItsTailGoesOnWhereTheStateKnowsItTo) {
  log_.cut(feedback, 3);
  say(1, "b");
  EXPECT_EQ(*restore(5), 3);
  EXPECT_TRUE(knows("a-2"));
  EXPECT_FALSE(knows("a-3")) << "it is not in the log, and may be said again";
}

TEST_F(AnotherLogTest, AlsoWhenItIsLongerByNow) {
  log_.cut(feedback, 3);
  say(9, "b");
  EXPECT_EQ(*restore(5), 3);
}

TEST_F(AnotherLogTest, OneThatWasMadeAnewIsReadFromItsBeginning) {
  log_.cut(feedback, 0);
  say(2, "b");
  EXPECT_EQ(*restore(5), 0);
}

TEST_F(AnotherLogTest, AlsoWhenThatIsLongerByNow) {
  log_.cut(feedback, 0);
  say(9, "b");
  EXPECT_EQ(*restore(5), 0);
}

TEST_F(AnotherLogTest, AnEmptyStateBeginsWhereThePositionIsOfNoSuchLog) {
  ASSERT_TRUE(wipe(state_, 0));
  kept_ = everything();
  EXPECT_EQ(*restore(20), 0);
}

TEST_F(AnotherLogTest, APositionThatIsAheadOfTheStateGoesBackToIt) {
  EXPECT_EQ(*restore(9), 5);
  EXPECT_TRUE(knows("a-0"));
}

// a-4 is said again behind the window, and takes its entry there; the restore dies before it has written how far it is.
TEST_F(AnotherLogTest, TheSameOneGoesOnBehindARestoreThatDied) {
  say(3, "b");
  Changes changes;
  changes.put(Family::seen, seen_key(0, "a-4"), encode_seen({6, 0, clock_.now()}));
  ASSERT_TRUE(state_.write(changes));
  EXPECT_EQ(*restore(8), 8);
}

TEST_F(AnotherLogTest, ACopyKeepsItsStateUntilThePositionHasMovedBack) {
  log_.cut(feedback, 3);
  Restore copy(log_, state_, 0, {}, clock_, 100ms);
  for (int i = 0; i < 2; ++i) {
    const auto followed = copy.run(5);
    ASSERT_FALSE(followed);
    EXPECT_EQ(followed.error(), Error::log_changed);
    EXPECT_TRUE(knows("a-4"));
  }
  ASSERT_TRUE(copy.run(3));
  EXPECT_FALSE(knows("a-4"));
}

TEST_F(AnotherLogTest, FeedbackThatIsTheSameStaysDecidedWhateverBecameOfTheOtherStreams) {
  for (const auto& record : request_records("tr-1", "req-1", clock_.now())) log_.put(record);
  EXPECT_EQ(*restore(5), 5);
  log_.cut({Stream::requests, 0}, 0);
  EXPECT_EQ(*restore(5), 5);
  EXPECT_TRUE(knows("a-0"));
}

TEST_F(AnotherLogTest, AllThatWasMadeAnewIsKnownByItsFeedback) {
  for (const auto& record : request_records("tr-1", "req-1", clock_.now())) log_.put(record);
  EXPECT_EQ(*restore(5), 5);
  log_.cut({Stream::requests, 0}, 0);
  log_.cut(feedback, 0);
  say(9, "b");
  EXPECT_EQ(*restore(5), 0);
}

// Three of feedback that wait for req-1, and a state that has restored them.
class ParkedStateTest : public testing::Test {
 protected:
  void SetUp() override {
    for (int i = 0; i < 3; ++i) {
      const auto id = "a-" + std::to_string(i);
      parked_.push_back(
          {.target = {Target::Kind::client_request_id, "req-1"},
           .accepted_at = clock_.now(),
           .expires_at = clock_.now() + 24h,
           .order = i,
           .item = {id, id, R"({"assessment_id":")" + id + R"(","assessment_name":"n","feedback":{"value":1}})"}});
      log_.put(to_record(FeedbackRecord{
          .target = parked_.back().target, .accepted_at = clock_.now(), .items = {parked_.back().item}}));
      log_.put(to_record(parked_.back(), 0));
    }
    ASSERT_TRUE(restore());
  }
  Result<void> restore() { return Restore(log_, state_, 0, {}, clock_).run(log_.end({Stream::feedback, 0})); }
  void lose(int i) {
    Changes damage;
    unpark(damage, 0, parked_[static_cast<std::size_t>(i)]);
    ASSERT_TRUE(state_.write(damage));
  }
  Ledger ledger() const { return load_meta(state_, 0)->ledger; }
  std::int64_t counted() const { return *count_parked(state_, 0); }

  HandClock clock_;
  MemoryLog log_;
  MemoryKeyValue state_;
  std::vector<ParkedRecord> parked_;
};

TEST_F(ParkedStateTest, WhatAStateHasLostOfTheParkedIsNotTakenForForwarded) {
  lose(1);
  for (int opened = 0; opened < 2; ++opened) {
    ASSERT_TRUE(restore());
    EXPECT_EQ(ledger(), (Ledger{.logged = 3, .parked = 3}));
    EXPECT_EQ(counted(), 2) << "which leaves one unaccounted for";
  }
}

TEST_F(ParkedStateTest, WhatIsLostShowsAlsoWhenTheLogHasGoneOn) {
  lose(1);
  log_.put(parked_tombstone("a-0", 0));
  log_.put(to_record(FeedbackRecord{
      .target = {Target::Kind::client_request_id, "req-2"},
      .accepted_at = clock_.now(),
      .items = {{"a-9", "a-9", R"({"assessment_id":"a-9","assessment_name":"n","feedback":{"value":1}})"}}}));
  ASSERT_TRUE(restore());
  EXPECT_EQ(ledger(), (Ledger{.logged = 4, .forwarded = 2, .parked = 2}));
  EXPECT_EQ(counted(), 1);
}

// Of a step that read requests alone the feedback's position tells nothing.
TEST_F(ParkedStateTest, WhatWasReleasedInAStepThatTheStateMissedWasForwarded) {
  log_.put(parked_tombstone("a-0", 0));
  ASSERT_TRUE(restore());
  EXPECT_EQ(ledger(), (Ledger{.logged = 3, .forwarded = 1, .parked = 2}));
  EXPECT_EQ(counted(), 2);
}

TEST_F(ParkedStateTest, ANewStateHasLostNothing) {
  log_.put(parked_tombstone("a-0", 0));
  ASSERT_TRUE(wipe(state_, 0));
  ASSERT_TRUE(restore());
  EXPECT_EQ(ledger(), (Ledger{.logged = 2, .parked = 2}));
  EXPECT_EQ(counted(), 2);
}

TEST(Index, AnIdToldBeforeTheTimeCountsAsUnknownAndOneOfNoTimeNever) {
  MemoryKeyValue state;
  const Instant told{1000ms};
  Changes changes;
  put_trace(changes, 0, "req-1", "tr-1", told);
  put_trace(changes, 0, "req-2", "tr-2");
  put_trace(changes, 0, "req-3", "\1odd");
  ASSERT_TRUE(state.write(changes));
  const std::vector<std::string> ids{"req-1", "req-2", "req-3"};
  const auto all = find_traces(state, 0, ids, told);
  EXPECT_EQ((*all)[0], "tr-1");
  EXPECT_EQ((*all)[1], "tr-2");
  EXPECT_EQ((*all)[2], "\1odd");
  const auto later = find_traces(state, 0, ids, told + 1ms);
  EXPECT_FALSE((*later)[0]);
  EXPECT_EQ((*later)[1], "tr-2");
  EXPECT_EQ((*later)[2], "\1odd");
  EXPECT_FALSE(index_may_go(index_value("tr-1", told), told));
  EXPECT_TRUE(index_may_go(index_value("tr-1", told), told + 1ms));
  EXPECT_FALSE(index_may_go("tr-1", told + 1ms));
  EXPECT_EQ(index_value("tr-1", told), std::string("\1\0\0\0\0\0\0\3\xe8tr-1", 13)) << "on disk: do not change";
}

}  // namespace
}  // namespace assay
