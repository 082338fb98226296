#include "workers/partition_replica.hpp"
#include "tests/support/hand_clock.hpp"
#include "tests/support/wait_until.hpp"

#include <gtest/gtest.h>

#include <latch>

#include "storage/log/memory_log.hpp"
#include "storage/records/feedback_record.hpp"
#include "storage/records/request_record.hpp"
#include "storage/state/seen.hpp"
#include "tests/support/temporary_directory.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;

// Does not come back from the first commit before it may.
class HeldCommitter final : public StepCommitter {
 public:
  HeldCommitter(std::latch& begun, std::latch& may_end) : begun_(begun), may_end_(may_end) {}
  StepOutcome commit(Step&) override {
    if (!begun_.try_wait()) begun_.count_down();
    may_end_.wait();
    return StepOutcome::aborted;
  }

 private:
  std::latch &begun_, &may_end_;
};

class PartitionReplicaTest : public testing::Test {
 protected:
  std::unique_ptr<PartitionReplica> replica(PartitionReplica::Open open, PartitionReplica::Role role) {
    return replica(std::move(open), role, clock);
  }
  std::unique_ptr<PartitionReplica> replica(PartitionReplica::Open open, PartitionReplica::Role role, const Clock& at) {
    ReplicaConfig config{.loop = {.joined_max = 1},
                         .directory = directory.path(),
                         .memory = DbMemory::with(1 << 20, 1 << 20),
                         .step_max = step_max};
    PartitionReplica::Parts parts{.sources = log,
                                  .clock = at,
                                  .metrics = metrics,
                                  .rebuilt = metrics.counter("rebuilt", ""),
                                  .open = std::move(open),
                                  .committed = []() -> Result<Offset> { return 0; }};
    return std::make_unique<PartitionReplica>(std::move(config), std::move(parts), role);
  }

  TemporaryDirectory directory;
  MemoryLog log;
  SystemClock clock;
  Metrics metrics;
  std::chrono::milliseconds step_max = 60s;
};

TEST_F(PartitionReplicaTest, AStepThatDoesNotComeBackIsStuck) {
  step_max = 0s;
  std::latch begun(1), may_end(1);
  for (const auto& record : request_records("tr-1", "req-1", clock.now())) log.put(record);
  auto open = [&](KeyValue&) -> Result<OpenedPartition> {
    return OpenedPartition{std::make_unique<HeldCommitter>(begun, may_end), {}};
  };
  auto it = replica(open, PartitionReplica::Role::owner);
  begun.wait();
  wait_until([&] { return it->stuck(); });
  may_end.count_down();
}

TEST_F(PartitionReplicaTest, OneWhoseOpeningFailsSaysSoUntilItGoesWell) {
  std::atomic<bool> fails{true};
  auto open = [&](KeyValue& state) -> Result<OpenedPartition> {
    if (fails) return Error::log_unavailable;
    return OpenedPartition{log.committer(state), {}};
  };
  auto it = replica(open, PartitionReplica::Role::owner);
  wait_until([&] { return it->failing(); });
  EXPECT_FALSE(it->caught_up());
  fails = false;
  wait_until([&] { return it->caught_up() && !it->failing(); });
}

TEST_F(PartitionReplicaTest, OneWhoseOpeningThrowsTriesAgain) {
  std::atomic<bool> throws{true};
  auto open = [&](KeyValue& state) -> Result<OpenedPartition> {
    if (throws) throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again));
    return OpenedPartition{log.committer(state), {}};
  };
  auto it = replica(open, PartitionReplica::Role::owner);
  wait_until([&] { return it->failing(); });
  throws = false;
  wait_until([&] { return it->caught_up() && !it->failing(); });
}

// Whose worker was away for so long that the broker may have compacted tombstones away which it has not seen.
TEST_F(PartitionReplicaTest, AStateThatWasLongBehindIsBuiltAnew) {
  HandClock at{Instant(500'000h)};
  auto& rebuilt = metrics.counter("rebuilt", "");
  auto open = [&](KeyValue& state) -> Result<OpenedPartition> { return OpenedPartition{log.committer(state), {}}; };
  const auto run_once = [&] {
    auto it = replica(open, PartitionReplica::Role::owner, at);
    wait_until([&] { return it->caught_up(); });
  };
  run_once();
  at += 22h;
  run_once();
  EXPECT_EQ(rebuilt.Value(), 0) << "it was away for less than a day";
  at += 24h;
  run_once();
  EXPECT_EQ(rebuilt.Value(), 1);
  at += 1h;
  run_once();
  EXPECT_EQ(rebuilt.Value(), 1) << "and is up to date now";
}

// Its process was stopped for days, and goes on as if it were the owner still.
TEST_F(PartitionReplicaTest, AnOwnerThatSleptForDaysBuildsItsStateAnew) {
  HandClock at{Instant(500'000h)};
  auto& rebuilt = metrics.counter("rebuilt", "");
  auto open = [&](KeyValue& state) -> Result<OpenedPartition> { return OpenedPartition{log.committer(state), {}}; };
  auto it = replica(open, PartitionReplica::Role::owner, at);
  wait_until([&] { return it->caught_up(); });
  at += 48h;
  wait_until([&] { return rebuilt.Value() == 1; });
  wait_until([&] { return it->caught_up(); });
}

// It opens well each time: what is broken is met by a step.
TEST_F(PartitionReplicaTest, AStateOfWhichAStepCantReadARecordIsBuiltAnew) {
  auto& rebuilt = metrics.counter("rebuilt", "");
  const auto say = [&](const std::string& id, const std::string& target) {
    log.put(to_record(FeedbackRecord{
        .target = {Target::Kind::client_request_id, target},
        .accepted_at = clock.now(),
        .body_hash = 1,
        .idempotent = true,
        .items = {{id, id, R"({"assessment_id":")" + id + R"(","assessment_name":"n","feedback":{"value":1}})"}}}));
  };
  auto open = [&](KeyValue& state) -> Result<OpenedPartition> {
    Changes broken;
    broken.put(Family::seen, seen_key(0, "a-1"), "no entry");
    if (rebuilt.Value() == 0 && !state.write(broken)) return Error::storage_failed;
    return OpenedPartition{log.committer(state), {}};
  };
  // What waits is looked up, one id at a time, between the opening and the step.
  say("a-8", "req-8");
  say("a-9", "req-9");
  {
    auto it = replica(open, PartitionReplica::Role::owner);
    wait_until([&] { return it->caught_up(); });
  }
  for (const auto& record : request_records("tr-1", "req-1", clock.now())) log.put(record);
  say("a-1", "req-1");
  auto it = replica(open, PartitionReplica::Role::owner);
  wait_until([&] { return log.end({Stream::assessments, 0}) == 1; });
  EXPECT_EQ(rebuilt.Value(), 1);
}

TEST_F(PartitionReplicaTest, WhoWaitsForItsTurnIsNot) {
  step_max = 0s;
  std::latch begun(1), may_end(1);
  auto open = [&](KeyValue&) -> Result<OpenedPartition> {  // fencing, and the restore: they take as long as they take
    if (!begun.try_wait()) begun.count_down();
    may_end.wait();
    return Error::log_unavailable;
  };
  auto it = replica(open, PartitionReplica::Role::owner);
  begun.wait();
  EXPECT_FALSE(it->stuck());
  may_end.count_down();
  it->become(PartitionReplica::Role::paused);
  it->wait_settled();
  EXPECT_FALSE(it->stuck());
}

}  // namespace
}  // namespace assay
