#include <gtest/gtest.h>
#include "tests/unit/workers/partition_loop_fixture.hpp"

#include "storage/records/dead_letter_record.hpp"
#include "storage/state/parked_state.hpp"
#include "workers/resolver_thread.hpp"
#include "workers/restore.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;
using testing_loop::PartitionLoopTest;

TEST_F(PartitionLoopTest, TwentyThousandThatWaitForOneIdAreReleasedInBoundedStepsAndInOrder) {
  auto first = loop();
  constexpr int count = 20'000;
  for (int i = 0; i < count; ++i) say("a-" + std::to_string(i), "req-1");
  drain(first);
  EXPECT_EQ(first.parked(), count);
  tell("tr-1", "req-1");
  auto config = PartitionLoopConfig{};
  config.policy.outputs_max = 5000;
  auto second = loop(config);
  ASSERT_TRUE(second.run_once(0ms));
  ASSERT_TRUE(second.run_once(0ms));
  EXPECT_LE(end(Stream::assessments), 2 * 5000);
  say("a-last", "req-1");
  drain(second);
  EXPECT_EQ(end(Stream::assessments), count + 1);
  EXPECT_EQ(second.meta().ledger.unaccounted(), 0);
  EXPECT_EQ(second.parked(), 0);
  auto source = log.open({{{Stream::assessments, 0}, 0}});
  const auto records = (*source)->read(count + 1, 0ms);
  for (int i = 0; i < count; i += 997)
    EXPECT_NE((*records)[static_cast<std::size_t>(i)].value.find("\"a-" + std::to_string(i) + "\""), std::string::npos);
  EXPECT_NE(records->back().value.find("a-last"), std::string::npos);
}

TEST_F(PartitionLoopTest, WhatWasParkedIsJoinedWithTheIndexWhenThePartitionIsOpened) {
  auto first = loop();
  say("a-1", "req-1");
  drain(first);
  Changes changes;  // as a predecessor would leave it that stored the index and died before the release
  put_trace(changes, 0, "req-1", "tr-1");
  ASSERT_TRUE(state.write(changes));
  auto second = loop();
  drain(second);
  EXPECT_EQ(end(Stream::assessments), 1);
}

// Another worker shows it then: the sum over all would count it twice.
TEST_F(PartitionLoopTest, WhatItShowsOfNowGoesWithThePartition) {
  const auto shows = [&](const std::string& name, int value) {
    const auto line = "\n" + name + "{partition=\"0\"} " + std::to_string(value) + "\n";
    return metrics.text().find(line) != std::string::npos;
  };
  {
    auto owner = loop();
    say("a-1", "req-1");
    clock.set(clock.now() + 90s);
    drain(owner);
    EXPECT_TRUE(shows("assay_resolver_parked", 1)) << metrics.text();
    say("a-2", "req-1");
    clock.set(clock.now() + 90s);
    ASSERT_TRUE(owner.run_once(0ms));
    EXPECT_TRUE(shows("assay_resolver_behind_seconds", 90)) << metrics.text();
  }
  for (const auto* name : {"assay_resolver_parked", "assay_resolver_behind_seconds", "assay_resolver_lag_records"})
    EXPECT_TRUE(shows(name, 0)) << name << metrics.text();
}

TEST_F(PartitionLoopTest, AChangeThatWaitsForTheIdOfItsCreateIsTakenBackWithItAndNoneOfAnother) {
  const auto put = [&](Op op, const std::string& record_id, const std::string& id, const Target& target) {
    log.put(to_record(
        FeedbackRecord{.op = op,
                       .target = target,
                       .accepted_at = clock.now(),
                       .items = {{record_id, id,
                                  R"({"assessment_id":")" + id +
                                      R"(","assessment_name":"n","feedback":{"value":1},"rationale":"words"})"}}}));
  };
  auto it = loop();
  const Target request{Target::Kind::client_request_id, "req-1"}, trace{Target::Kind::trace_id, "tr-1"};
  put(Op::create, "a-1", "a-1", request);
  put(Op::update, "u-1", "a-1", trace);
  put(Op::create, "a-2", "a-2", request);
  drain(it);
  put(Op::erase, "d-1", "a-1", trace);
  drain(it);
  const std::vector<std::string> ids{"a-1", "u-1", "a-2", "d-1"};
  const auto parked = *find_parked(state, 0, ids);
  for (const auto& one : parked) ASSERT_TRUE(one);
  EXPECT_TRUE(parked[0]->withdrawn);
  EXPECT_TRUE(parked[1]->withdrawn);
  EXPECT_FALSE(parked[2]->withdrawn) << "nobody took it back";
  EXPECT_EQ(it.parked(), 4);
  EXPECT_EQ(it.meta().ledger.unaccounted(), 0);
}

TEST_F(PartitionLoopTest, NothingExpiresWhileTheRequestsStreamHasABacklog) {
  auto config = PartitionLoopConfig{};
  config.records_max = 1;
  auto it = loop(config);
  say("a-1", "req-1");
  drain(it);
  clock += 25h;
  for (int i = 0; i < 5; ++i) tell("tr-x" + std::to_string(i), "req-x" + std::to_string(i));
  tell("tr-1", "req-1");
  drain(it);
  EXPECT_EQ(end(Stream::deadletters), 0);
  EXPECT_EQ(end(Stream::assessments), 1);
}

TEST_F(PartitionLoopTest, WhereTracesAreToldAllTheTimeWhatIsDueExpiresAllTheSame) {
  auto config = PartitionLoopConfig{};
  config.records_max = 1;
  auto it = loop(config);
  say("a-1", "req-1");
  drain(it);
  clock += 25h;
  tell("tr-first", "req-first");
  for (int i = 0; i < 10; ++i) {
    tell("tr-x" + std::to_string(i), "req-x" + std::to_string(i));
    ASSERT_TRUE(it.run_once(0ms));
  }
  EXPECT_EQ(end(Stream::deadletters), 1);
}

TEST_F(PartitionLoopTest, HasCaughtUpOnceTheBacklogIsDecidedHoweverMuchComesMeanwhile) {
  auto config = PartitionLoopConfig{};
  config.records_max = 1;
  tell("tr-1", "req-1");
  const auto traces = end(Stream::requests);
  for (int i = 0; i < 5; ++i) say("a-" + std::to_string(i), "req-1");
  auto it = loop(config);
  for (int i = 5; !it.caught_up(); ++i) {
    ASSERT_LT(i, 50) << "never caught up";
    say("a-" + std::to_string(i), "req-1");
    ASSERT_TRUE(it.run_once(0ms));
  }
  EXPECT_GE(it.meta().requests, traces);
  EXPECT_GE(it.meta().feedback, 5);
  EXPECT_LT(it.meta().feedback, end(Stream::feedback)) << "was at the end: nothing is shown";
}

TEST_F(PartitionLoopTest, HasNotCaughtUpWhereNothingCameOfWhatIsThere) {
  class SlowSource final : public EventSource {
   public:
    SlowSource(std::unique_ptr<EventSource> log, int& empty) : log_(std::move(log)), empty_(empty) {}
    Result<std::span<const LogRecord>> read(std::size_t most, std::chrono::milliseconds wait) override {
      return empty_ > 0 ? nothing() : log_->read(most, wait);
    }
    Result<std::span<const LogRecord>> read_from(StreamPartition which, std::size_t most) override {
      return empty_ > 0 ? nothing() : log_->read_from(which, most);
    }
    Result<Offset> end(StreamPartition which) override { return log_->end(which); }
    Offset position(StreamPartition which) const override { return log_->position(which); }
    Result<void> seek(StreamPartition which, Offset offset) override { return log_->seek(which, offset); }
    void wake() override { log_->wake(); }

   private:
    Result<std::span<const LogRecord>> nothing() {
      --empty_;
      return std::span<const LogRecord>();
    }
    std::unique_ptr<EventSource> log_;
    int& empty_;
  };
  class SlowSources final : public EventSources {
   public:
    explicit SlowSources(MemoryLog& log) : log_(log) {}
    Result<std::unique_ptr<EventSource>> open(std::vector<StartAt> starts) override {
      return std::make_unique<SlowSource>(std::move(*log_.open(std::move(starts))), empty);
    }
    Partition partitions(Stream stream) const override { return log_.partitions(stream); }
    int empty = 6;

   private:
    MemoryLog& log_;
  };
  SlowSources slow(log);
  for (int i = 0; i < 5; ++i) say("a-" + std::to_string(i), "req-1");
  PartitionLoop it(
      {}, slow, state,
      [this] {
        return OpenedPartition{log.committer(state), {}};
      },
      clock, metrics, &progress);
  while (slow.empty > 0) {
    ASSERT_TRUE(it.run_once(0ms));
    EXPECT_FALSE(it.caught_up()) << "none of the five has been read";
  }
  drain(it);
  EXPECT_TRUE(it.caught_up());
}

// A broker that is slow, or out of breath: what it is given at once must fit into its time.
TEST_F(PartitionLoopTest, StepsThatAreNotCommittedBecomeSmallerUntilTheyAre) {
  class Slow final : public StepCommitter {
   public:
    explicit Slow(std::unique_ptr<StepCommitter> log) : log_(std::move(log)) {}
    StepOutcome commit(Step& step) override {
      return step.outputs.size() > 3 ? StepOutcome::aborted : log_->commit(step);
    }

   private:
    std::unique_ptr<StepCommitter> log_;
  };
  auto config = PartitionLoopConfig{};
  config.policy.outputs_max = 64;
  tell("tr-1", "req-1");
  PartitionLoop it(
      config, log, state,
      [this] {
        return OpenedPartition{std::make_unique<Slow>(log.committer(state)), {}};
      },
      clock, metrics, &progress);
  for (int i = 0; i < 200; ++i) say("a-" + std::to_string(i), "req-1");
  int failed = 0, steps = 0;
  for (auto ran = it.run_once(0ms); !ran || *ran == PartitionLoop::Ran::worked; ran = it.run_once(0ms)) {
    failed += !ran;
    ASSERT_LT(++steps, 1000) << "the same step again and again";
  }
  EXPECT_EQ(end(Stream::assessments), 200);
  EXPECT_GT(failed, 4);  // 64, 32, 16, 8, 4
  EXPECT_LT(failed, 20) << "it tries larger ones too soon";
}

TEST_F(PartitionLoopTest, WhatIsNeverToldExpires) {
  auto it = loop();
  say("a-1", "req-1");
  drain(it);
  clock += 24h - 1ms;
  drain(it);
  EXPECT_EQ(end(Stream::deadletters), 0);
  clock += 1ms;
  drain(it);
  EXPECT_EQ(end(Stream::deadletters), 1);
  EXPECT_EQ(it.parked(), 0);
}

// Where no door stands before the topic, a feedback may be so long that its assessment would not fit into a record.
TEST_F(PartitionLoopTest, AFeedbackThatIsTooLongIsADeadLetterThatFits) {
  const std::string id = "a-1";
  log.put(to_record(
      FeedbackRecord{.target = {Target::Kind::trace_id, "tr-1"},
                     .accepted_at = clock.now(),
                     .body_hash = 1,
                     .items = {{id, id,
                                R"({"assessment_id":"a-1","assessment_name":"n","feedback":{"value":1},"rationale":")" +
                                    std::string(990'000, 'x') + R"("})"}}}));
  auto it = loop();
  drain(it);
  EXPECT_EQ(end(Stream::parked) + end(Stream::assessments), 0);
  ASSERT_EQ(end(Stream::deadletters), 1);
  EXPECT_EQ(it.meta().ledger.unaccounted(), 0);
  auto source = *log.open({{{Stream::deadletters, 0}, 0}});
  const auto records = *source->read(1, 0ms);
  ASSERT_EQ(records.size(), 1u);
  EXPECT_LT(records[0].value.size(), 1'000'000u);
  EXPECT_EQ(parse_dead_letter(records[0].value)->reason, dead_reason::malformed);
}

// Of a producer of another's: each record that is decided of it says its ids more than once.
TEST_F(PartitionLoopTest, AnIdThatIsTooLongIsADeadLetterThatFits) {
  const std::string small = "a-1", large(400'000, 'x');
  const auto put = [&](Op op, const std::string& record_id, const std::string& assessment_id,
                       const std::string& target) {
    log.put(to_record(FeedbackRecord{
        .op = op,
        .target = {Target::Kind::client_request_id, target},
        .accepted_at = clock.now(),
        .body_hash = 1,
        .items = {{record_id, assessment_id,
                   R"({"assessment_id":")" + assessment_id + R"(","assessment_name":"n","feedback":{"value":1}})"}}}));
  };
  put(Op::update, large, small, "req-1");
  put(Op::create, large, large, "req-1");
  put(Op::create, small, small, large);
  log.put(Record{.stream = Stream::requests, .key = "req-1", .value = large, .partition = 0});
  auto it = loop();
  drain(it);
  EXPECT_EQ(end(Stream::parked) + end(Stream::assessments), 0);
  EXPECT_EQ(end(Stream::deadletters), 4);
  auto source = *log.open({{{Stream::deadletters, 0}, 0}});
  for (const auto& record : *source->read(10, 0ms)) {
    EXPECT_LT(record.key.size() + record.value.size(), 1'000'000u);
    const auto letter = parse_dead_letter(record.value);
    EXPECT_EQ(letter->reason, dead_reason::malformed);
    EXPECT_NE(letter->detail.find("longer than 512 bytes"), std::string::npos) << letter->detail;
  }
  say("a-2", "req-1");
  drain(it);
  EXPECT_EQ(it.parked(), 1) << "the request that was too long has told nothing";
}

// No store could keep it: forwarded, it would be nowhere.
TEST_F(PartitionLoopTest, AnIdWithANulIsADeadLetter) {
  const std::string nul("a\0b", 3);
  const auto put = [&](const std::string& assessment_id, const std::string& in_json, const std::string& target) {
    log.put(to_record(FeedbackRecord{.op = Op::erase,
                                     .target = {Target::Kind::client_request_id, target},
                                     .accepted_at = clock.now(),
                                     .items = {{"c-1", assessment_id, R"({"assessment_id":")" + in_json + "\"}"}}}));
  };
  put(nul, R"(a\u0000b)", "req-1");
  put("a-1", "a-1", nul);
  auto it = loop();
  drain(it);
  EXPECT_EQ(end(Stream::parked) + end(Stream::assessments), 0);
  EXPECT_EQ(end(Stream::deadletters), 2);
}

TEST_F(PartitionLoopTest, AnAbortedStepIsDecidedAgain) {
  auto it = loop();
  drain(it);
  tell("tr-1", "req-1");
  say("a-1", "req-1");
  log.fail_with(Error::log_unavailable);
  const auto ran = it.run_once(0ms);
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error(), Error::log_unavailable);
  EXPECT_FALSE(it.is_open());
  log.fail_with({});
  drain(it);
  EXPECT_EQ(end(Stream::assessments), 1);
  EXPECT_EQ(progress.reached(Follower::resolver, {Stream::feedback, 0}), 1);
}

TEST_F(PartitionLoopTest, AStateBeyondTheCommittedPositionIsWipedAndBuiltAnewFromTheLog) {
  auto it = loop();
  tell("tr-2", "req-2");
  say("a-1", "req-1");
  say("a-2", "req-2");
  drain(it);
  const ResolvePolicy policy;
  ASSERT_TRUE(Restore(log, state, 0, policy, clock).run(1));
  const auto meta = load_meta(state, 0);
  EXPECT_EQ(meta->feedback, 1);
  EXPECT_EQ(meta->requests, 2);
  EXPECT_EQ(*count_parked(state, 0), 1) << "from the changelog";
  const std::vector<std::string> ids{"a-1", "a-2"};
  const auto seen = find_seen(state, 0, ids);
  EXPECT_TRUE((*seen)[0]);
  EXPECT_FALSE((*seen)[1]) << "beyond the committed position";
  EXPECT_EQ(end(Stream::assessments), 1) << "a restore emits nothing";
}

TEST_F(PartitionLoopTest, FeedbackThatIsDeletedBeforeItIsReadIsCountedOnceAlsoWhileItIsFollowed) {
  Offset committed = 0;
  PartitionLoop it(
      {}, log, state,
      [&] {
        return OpenedPartition{log.committer(state), committed};
      },
      clock, metrics, nullptr);
  for (int i = 0; i < 3; ++i) say("a-" + std::to_string(i), "req-1");
  drain(it);
  committed = 3;
  for (int i = 3; i < 8; ++i) say("a-" + std::to_string(i), "req-1");
  log.trim({Stream::feedback, 0}, 6);
  log.fail_with(make_error_code(Error::log_unavailable));
  EXPECT_FALSE(it.run_once(0ms)) << "the step that has seen it";
  log.fail_with({});
  drain(it);
  EXPECT_EQ(it.parked(), 5);
  EXPECT_NE(metrics.text().find("assay_resolver_trimmed_total 3\n"), std::string::npos) << metrics.text();
}

// Of long records there is enough for a step long before the time is over.
TEST_F(PartitionLoopTest, AStepGathersNoMoreBytesThanItMay) {
  PartitionLoop it(
      {.gather_max = 1, .commit_interval = 24h}, log, state,
      [this] {
        return OpenedPartition{log.committer(state), {}};
      },
      clock, metrics, nullptr);
  say("a-1", "req-1");
  const auto ran = it.run_once(0ms);  // not in a day
  ASSERT_TRUE(ran);
  EXPECT_EQ(it.parked(), 1);
}

TEST_F(PartitionLoopTest, TheThreadEndsWhileItWaits) {
  SystemClock system;
  ResolverThread thread(
      {}, log, state,
      [this] {
        return OpenedPartition{log.committer(state), {}};
      },
      system, metrics, &progress);
  say("a-1", "req-1");
  tell("tr-1", "req-1");
}

}  // namespace
}  // namespace assay
