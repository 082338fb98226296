// What waits for what on its way into MLflow, and whose turn it is: no MLflow, no socket.
#include "storage/sinks/mlflow_rest_lanes.hpp"

#include <gtest/gtest.h>

#include "tests/support/hand_clock.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;
using mlflow::Job, mlflow::Lane, mlflow::Outcome, mlflow::Written;
using Names = std::vector<std::string>;

class MlflowLanesTest : public testing::Test {
 protected:
  Job job(const std::string& id, const std::string& trace_id, Op op = Op::create) {
    AssessmentRecord record{.op = op, .assessment_id = id, .trace_id = trace_id, .record_id = id};
    return {{Stream::assessments, 0}, next_++, std::move(record)};
  }
  void add(const std::string& id, const std::string& trace_id) { lanes_.add(trace_id, job(id, trace_id)); }
  Names take_ready() {
    Names out;
    while (lanes_.ready() > 0) out.push_back(lanes_.take_next());
    return out;
  }
  Outcome wait(const std::string& trace_id, Outcome outcome = Outcome::waits, Instant taken_at = {}) {
    auto& lane = lanes_.at(trace_id);
    const Written said{outcome, "why"};
    return lanes_.wait(trace_id, lane, lane.assessments.front(), said, taken_at);
  }

  MlflowSinkConfig config_{.records_max = 4, .wait_max = 1h};
  HandClock clock_;
  MlflowLanes lanes_{config_, clock_};
  Offset next_ = 0;
};

TEST_F(MlflowLanesTest, ALaneHasOneTurnForAllThatItHas) {
  add("a-1", "tr-1");
  add("a-2", "tr-2");
  add("a-3", "tr-1");
  EXPECT_EQ(take_ready(), (Names{"tr-1", "tr-2"}));
  EXPECT_EQ(lanes_.at("tr-1").assessments.size(), 2u);
}

TEST_F(MlflowLanesTest, ALaterCreateOfAnIdComesInWhenTheFirstHasEnded) {
  add("a-1", "tr-1");
  add("a-1", "tr-2");
  EXPECT_EQ(take_ready(), Names{"tr-1"});
  EXPECT_EQ(lanes_.kept(Stream::assessments).records, 2u);
  auto& lane = lanes_.at("tr-1");
  EXPECT_EQ(lanes_.end("tr-1", lane, lane.assessments.begin()), lane.assessments.end());
  EXPECT_EQ(take_ready(), Names{"tr-2"});
  EXPECT_EQ(lanes_.kept(Stream::assessments).records, 1u);
}

TEST_F(MlflowLanesTest, ALaterCreateOfAnIdComesInWhenTheFirstBeginsToWait) {
  add("a-1", "tr-1");
  add("a-1", "tr-2");
  EXPECT_EQ(take_ready(), Names{"tr-1"});
  EXPECT_EQ(wait("tr-1"), Outcome::waits);
  EXPECT_EQ(take_ready(), Names{"tr-2"});
}

TEST_F(MlflowLanesTest, ALaneThatHasEndedBeforeItsRetryHasNone) {
  add("a-1", "tr-1");
  EXPECT_EQ(take_ready(), Names{"tr-1"});
  EXPECT_EQ(wait("tr-1"), Outcome::waits);
  lanes_.settle("tr-1", false);
  clock_.set(clock_.now() + 1s);
  auto due = lanes_.find_due();
  EXPECT_EQ(due, Names{"tr-1"});
  auto& lane = lanes_.at("tr-1");
  lanes_.end("tr-1", lane, lane.assessments.begin());
  lanes_.settle("tr-1", false);
  lanes_.begin_retries(std::move(due));
  EXPECT_EQ(lanes_.ready(), 0u);
}

TEST_F(MlflowLanesTest, WhatWaitsIsDueAfterLongerAndLongerAndDeadInTheEnd) {
  add("a-1", "tr-1");
  EXPECT_EQ(take_ready(), Names{"tr-1"});
  for (const auto after : {1s, 2s, 4s}) {
    EXPECT_EQ(wait("tr-1"), Outcome::waits);
    lanes_.settle("tr-1", false);
    EXPECT_EQ(lanes_.waiting(), 1);
    clock_ += after - 1ms;
    EXPECT_EQ(lanes_.find_due(), Names{});
    clock_ += 1ms;
    const auto due = lanes_.find_due();
    EXPECT_EQ(due, Names{"tr-1"});
    lanes_.begin_retries(due);
    EXPECT_EQ(take_ready(), due);
  }
  clock_ += 1h;
  EXPECT_EQ(wait("tr-1"), Outcome::dead);
}

TEST_F(MlflowLanesTest, WhatMlflowDoesNotAnswerIsDeadInTheEndWhereItTookOthersMeanwhile) {
  add("a-1", "tr-1");
  EXPECT_EQ(wait("tr-1", Outcome::unanswered), Outcome::unanswered);
  const auto began = clock_.now();
  clock_ += 1h;
  EXPECT_EQ(wait("tr-1", Outcome::unanswered, began), Outcome::unanswered);
  EXPECT_EQ(wait("tr-1", Outcome::unanswered, began + 1ms), Outcome::dead);
}

TEST_F(MlflowLanesTest, RetriesThatWereNotReachedWaitOnAndLeaveTheTimeToWhatIsNew) {
  for (const auto* id : {"tr-1", "tr-2"}) {
    add(id, id);
    lanes_.take_next();
    wait(id);
    lanes_.settle(id, false);
  }
  clock_ += 1s;
  const auto begun = clock_.now();
  lanes_.begin_retries(lanes_.find_due());
  const auto reached = lanes_.take_next();
  clock_ += 1s;
  lanes_.settle(reached, false);
  lanes_.end_retries(begun);
  EXPECT_EQ(lanes_.ready(), 0u);
  EXPECT_EQ(lanes_.waiting(), 2);
  clock_ += 3s - 1ms;
  EXPECT_EQ(lanes_.find_due(), Names{});
  clock_ += 1ms;
  EXPECT_EQ(lanes_.find_due().size(), 2u);
}

TEST_F(MlflowLanesTest, OverTheBoundTheOldestMakeRoomOnceTheirTracesCantComeAnyMore) {
  const Names traces{"tr-1", "tr-2", "tr-3", "tr-4"};
  for (const auto& id : traces) {
    add(id, id);
    wait(id);
    clock_ += 1s;
  }
  ASSERT_TRUE(lanes_.is_full(Stream::assessments));
  EXPECT_FALSE(lanes_.is_full(Stream::traces));
  const auto oldest = [&] {
    Names out;
    for (const auto& waiting : lanes_.longest_waiting(Stream::assessments, {})) out.push_back(*waiting.trace_id);
    return out;
  };
  lanes_.set_all_traces_are_read(true);
  EXPECT_EQ(oldest(), Names{}) << "they have not waited long";
  clock_ += 30s;
  EXPECT_EQ(oldest(), traces);
  lanes_.set_all_traces_are_read(false);
  EXPECT_EQ(oldest(), Names{}) << "their traces may stand in the log unread";
  lanes_.traces_were_read_to(0, clock_.now());
  EXPECT_EQ(oldest(), traces);
}

TEST_F(MlflowLanesTest, AFailureThatAllHaveLeavesALaneInTheRowAndAnEmptyOneIsGone) {
  add("a-1", "tr-1");
  take_ready();
  lanes_.settle("tr-1", true);
  EXPECT_EQ(take_ready(), Names{"tr-1"});
  auto& lane = lanes_.at("tr-1");
  lanes_.end("tr-1", lane, lane.assessments.begin());
  lanes_.settle("tr-1", false);
  EXPECT_FALSE(lanes_.has("tr-1"));
}

}  // namespace
}  // namespace assay
