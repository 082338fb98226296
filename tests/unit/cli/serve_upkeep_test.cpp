#include "ops/cli/serve_upkeep.hpp"

#include <gtest/gtest.h>

#include "ops/runtime/run_task.hpp"
#include "storage/state/partition_state.hpp"
#include "storage/state/seen.hpp"
#include "storage/store/keys.hpp"
#include "tests/support/hand_clock.hpp"
#include "tests/support/temporary_directory.hpp"

namespace assay::cli {
namespace {

using namespace std::chrono_literals;

class ServeCutoffsTest : public testing::Test {
 protected:
  bool seen_may_go(Instant accepted_at) const {
    return cutoffs_.may_go(Family::seen, seen_key(0, "r-1"), encode_seen({1, 2, accepted_at}));
  }
  bool id_may_go(Instant told_at) const { return cutoffs_.may_go(Family::index, "any", index_value("tr-1", told_at)); }
  bool tombstone_may_go(Instant deleted_at) const {
    return cutoffs_.may_go(Family::traces, store_keys::trace_tombstone("tr-1"),
                           store_keys::tombstone_value(deleted_at));
  }

  const Instant now_ = HandClock().now();
  ServeCutoffs cutoffs_{{.park_max = 24h, .dedupe_window = 1h, .request_retention = 48h}, 168h};
};

TEST_F(ServeCutoffsTest, NothingGoesBeforeTheFirstLook) {
  EXPECT_FALSE(seen_may_go(now_ - 10'000h));
  EXPECT_FALSE(id_may_go(now_ - 10'000h));
  EXPECT_FALSE(tombstone_may_go(now_ - 10'000h));
}

TEST_F(ServeCutoffsTest, ASeenIdGoesWithTheWindowAndATracesIdsWhenNobodyKnowsThem) {
  cutoffs_.look(now_, Instant());
  EXPECT_FALSE(seen_may_go(now_ - 1h));
  EXPECT_TRUE(seen_may_go(now_ - 1h - 1ms));
  EXPECT_FALSE(id_may_go(now_ - 48h));
  EXPECT_TRUE(id_may_go(now_ - 48h - 1ms));
  EXPECT_FALSE(cutoffs_.may_go(Family::parked, "any", index_value("tr-1", now_ - 10'000h)));
}

TEST_F(ServeCutoffsTest, ATombstoneGoesADayAfterAllThatWasLoggedOrParkedBeforeItIsOver) {
  cutoffs_.look(now_, Instant());
  EXPECT_FALSE(tombstone_may_go(now_ - 10'000h)) << "nobody knows what is still to come";
  const auto all_seen = now_ - 5h;
  cutoffs_.look(now_, all_seen);
  EXPECT_FALSE(tombstone_may_go(all_seen - 168h - 24h - 24h));
  EXPECT_TRUE(tombstone_may_go(all_seen - 168h - 24h - 24h - 1ms));
}

TEST_F(ServeCutoffsTest, NorDoesATombstoneGoBeforeTheIdsThatLeadToIt) {
  ServeCutoffs long_ids({.park_max = 24h, .request_retention = 1'000h}, 168h);
  long_ids.look(now_, now_);
  const auto may_go = [&](Instant deleted_at) {
    return long_ids.may_go(Family::traces, store_keys::trace_tombstone("tr-1"),
                           store_keys::tombstone_value(deleted_at));
  };
  EXPECT_FALSE(may_go(now_ - 1'024h));
  EXPECT_TRUE(may_go(now_ - 1'024h - 1ms));
}

TEST_F(ServeCutoffsTest, WhereTracesStayForEverSoDoTheirIdsAndTombstones) {
  ServeCutoffs for_ever({.dedupe_window = 1h, .request_retention = 0ms}, 168h);
  for_ever.look(now_, now_);
  EXPECT_FALSE(for_ever.may_go(Family::index, "any", index_value("tr-1", now_ - 10'000h)));
  EXPECT_FALSE(for_ever.may_go(Family::traces, store_keys::trace_tombstone("tr-1"),
                               store_keys::tombstone_value(now_ - 10'000h)));
  EXPECT_TRUE(for_ever.may_go(Family::seen, seen_key(0, "r-1"), encode_seen({1, 2, now_ - 2h})));
}

class AppliedTo final : public AssessmentSink {
 public:
  std::string_view name() const override { return "applied"; }
  std::vector<Stream> follows() const override { return {}; }
  Result<Offset> position(StreamPartition) override { return 0; }
  Result<void> apply(std::span<const LogRecord>) override { return {}; }
  Offset applied(StreamPartition of) const override { return to.contains(of) ? to.at(of) : 0; }
  SinkLedger ledger() const override { return {}; }

  std::map<StreamPartition, Offset> to;
};

TEST(LogFollowers, TheSlowestOfThoseWhoReadAStreamDecides) {
  Progress progress;
  AppliedTo store, mlflow;
  const StreamPartition feedback{Stream::feedback, 0}, traces{Stream::traces, 0}, dead{Stream::deadletters, 0};
  progress.advance(Follower::resolver, feedback, 7);
  store.to = {{traces, 5}, {dead, 5}};
  mlflow.to = {{traces, 3}};
  const LogFollowers both{progress, store, &mlflow}, alone{progress, store};
  EXPECT_EQ(both.passed(feedback), 7);
  EXPECT_EQ(both.passed(traces), 3);
  EXPECT_EQ(both.passed(dead), 5) << "MLflow is told of no dead letters";
  EXPECT_EQ(alone.passed(traces), 5);
}

class CaughtUpTest : public testing::Test {
 protected:
  void append_trace() {
    Record record{.stream = Stream::traces, .key = "tr-1", .value = "{}"};
    ASSERT_TRUE(run_task(io_, log_->append(std::move(record))));
  }

  IoContext io_{1};
  TemporaryDirectory directory_;
  Metrics metrics_;
  std::unique_ptr<Db> db_ = std::move(*Db::open({.directory = directory_.path()}));
  std::unique_ptr<EmbeddedLog> log_ =
      std::move(*EmbeddedLog::open(*db_, directory_.path(), {.disk_reserve_bytes = 0}, metrics_));
  Progress progress_;
  AppliedTo store_;
  CaughtUp caught_up_{*log_, {progress_, store_}};
  const Instant first_ = HandClock().now();
};

TEST_F(CaughtUpTest, WhatStoodInTheLogAtOneLookHasBeenSeenAtTheNext) {
  EXPECT_EQ(caught_up_.look(first_), Instant()) << "of nothing before it is known";
  EXPECT_EQ(caught_up_.look(first_ + 1min), first_);
  EXPECT_EQ(caught_up_.look(first_ + 2min), first_ + 1min);
}

TEST_F(CaughtUpTest, ItStandsStillWhileAFollowerHasNotSeenWhatStoodThere) {
  caught_up_.look(first_);
  append_trace();
  EXPECT_EQ(caught_up_.look(first_ + 1min), first_) << "what came after that look is not asked for";
  EXPECT_EQ(caught_up_.look(first_ + 2min), first_);
  EXPECT_EQ(caught_up_.look(first_ + 60min), first_);
  store_.to[{Stream::traces, 0}] = 1;
  EXPECT_EQ(caught_up_.look(first_ + 61min), first_ + 1min);
}

}  // namespace
}  // namespace assay::cli
