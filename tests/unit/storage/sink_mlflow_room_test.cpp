// What waits: how much of it, how long, and how often it is tried again.
#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "tests/unit/storage/mlflow_sink_fixture.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;
using namespace testing_records;

TEST_F(MlflowSinkTest, TracesOfAnUnknownExperimentHaveABoundAndStopNoFeedback) {
  config_.records_max = 20;
  open();
  ASSERT_TRUE(apply(many(15, "early-", lost_trace)));
  EXPECT_TRUE(dead_.empty());
  clock_ += 1s;
  ASSERT_TRUE(apply(many(15, "late-", lost_trace)));
  ASSERT_EQ(dead_.size(), 16u) << "down to three quarters";
  EXPECT_EQ(dead_[0].reason, "refused");
  EXPECT_EQ(
      dead_[0].detail,
      "too many records wait as this one did: MLflow answered 404 RESOURCE_DOES_NOT_EXIST: Experiment not found.");
  EXPECT_NE(dead_[0].raw.find(R"("spans":[{"span_id":"s1","secret":1}])"), std::string::npos) << dead_[0].raw;
  EXPECT_EQ(std::ranges::count_if(dead_, [](const auto& d) { return d.raw.find("early-") != d.raw.npos; }), 15);
  EXPECT_TRUE(sink_->takes(Stream::assessments));
  ASSERT_TRUE(apply({add(ok_trace("tr-1")), add(feedback("a-1", "tr-1", at(1), "n", "true"))}));
  EXPECT_TRUE(mlflow_.assessments().contains("a-1"));
  // What is known of one that is a dead letter is said with what comes later.
  ASSERT_TRUE(apply({add(trace("early-0", at(9), located("1", at(0)) + R"(,"state":"OK")"))}));
  EXPECT_TRUE(mlflow_.traces().contains("early-0"));
  EXPECT_NE(mlflow_.artifacts().begin()->second.find("secret"), std::string::npos);
}

TEST_F(MlflowSinkTest, ATraceThatWaitsTakesNoMoreThanItsPlaceInMemory) {
  config_.bytes_max = 100'000;
  open();
  const auto big = [](const std::string& id) {
    return trace(id, at(0), located("999", at(0)), R"([{"span_id":"s1","text":")" + std::string(50'000, 'x') + "\"}]");
  };
  ASSERT_TRUE(apply(many(20, "tr-", big)));
  EXPECT_TRUE(dead_.empty());
}

TEST_F(MlflowSinkTest, FeedbackThatWaitsMakesRoomOnceItsTraceCanNotStandUnreadInTheLog) {
  config_.records_max = 20;
  open();
  const auto early = [](const std::string& id) { return feedback("a-" + id, "tr-" + id, at(10), "n", "true"); };
  const Instant began = clock_.now();
  ASSERT_TRUE(apply(many(20, "", early)));
  EXPECT_FALSE(sink_->takes(Stream::assessments));
  EXPECT_TRUE(sink_->takes(Stream::traces));
  ASSERT_TRUE(apply({}));
  EXPECT_TRUE(dead_.empty()) << "a moment ago";
  clock_ += 31s;
  ASSERT_TRUE(apply({add(ok_trace("tr-0"))}));
  EXPECT_TRUE(mlflow_.assessments().contains("a-0"));
  ASSERT_TRUE(apply(many(1, "20", early)));
  ASSERT_TRUE(apply({add(trace("other", began, R"("state":"IN_PROGRESS")"))}));
  EXPECT_TRUE(dead_.empty()) << "their traces may come next: they were accepted no later";
  ASSERT_TRUE(apply({add(trace("other", began + 1ms, R"("state":"IN_PROGRESS")"))}));
  EXPECT_EQ(dead_.size(), 6u);
  EXPECT_TRUE(sink_->takes(Stream::assessments));
}

TEST_F(MlflowSinkTest, FeedbackThatWaitsMakesRoomWhereNoMoreTracesStandInTheLog) {
  config_.records_max = 20;
  open();
  ASSERT_TRUE(apply(many(20, "", [](const std::string& id) { return feedback("a-" + id, id, at(10), "n", "true"); })));
  clock_ += 31s;
  ASSERT_TRUE(apply({}));
  EXPECT_TRUE(dead_.empty()) << "nothing has come, which is not that nothing is there";
  sink_->all_read(Stream::traces);
  ASSERT_TRUE(apply({}));
  EXPECT_EQ(dead_.size(), 6u);
  EXPECT_EQ(sink_->ledger().dead, 6);
}

TEST_F(MlflowSinkTest, ChangesBehindOneThatWaitsMakeRoomAsWell) {
  config_.records_max = 20;
  open();
  ASSERT_TRUE(apply({add(ok_trace("tr-1"))}));
  const auto change = [](const std::string& id) {
    return update("a-1", "u-" + id, "tr-1", at(10), R"("metadata":{"k)" + id + R"(":"v"})");
  };
  ASSERT_TRUE(apply(many(20, "", change)));
  clock_ += 31s;
  sink_->all_read(Stream::traces);
  ASSERT_TRUE(apply({}));
  EXPECT_EQ(dead_.size(), 6u);
  EXPECT_TRUE(sink_->takes(Stream::assessments));
}

TEST_F(MlflowSinkTest, AllThatWaitsForOneTraceWaitsFromItsFirstMoment) {
  ASSERT_TRUE(
      apply(many(3, "", [](const std::string& id) { return feedback("a-" + id, "tr-1", at(1), "n", "true"); })));
  clock_ += 1h;
  ASSERT_TRUE(apply({}));
  EXPECT_EQ(dead_.size(), 3u);
}

TEST_F(MlflowSinkTest, TryingAgainWhatWaitsLeavesMostOfTheTimeToWhatIsNew) {
  ASSERT_TRUE(
      apply(many(100, "", [](const std::string& id) { return feedback("a-" + id, "tr-" + id, at(1), "n", "1"); })));
  clock_ += 2s;
  mlflow_.fault([this](const auto&, bool after) {
    if (!after) clock_ += 100ms;
    return 0;
  });
  auto asked = [this, before = mlflow_.said().size()]() mutable {
    return mlflow_.said().size() - std::exchange(before, mlflow_.said().size());
  };
  ASSERT_TRUE(apply({}));
  const auto first = asked();
  EXPECT_GE(first, 3u);
  EXPECT_LE(first, 3u + config_.retries_at_once);
  ASSERT_TRUE(apply({add(ok_trace("new"))}));
  EXPECT_TRUE(mlflow_.traces().contains("new"));
  (void)asked();
  ASSERT_TRUE(apply({}));
  EXPECT_EQ(asked(), 0u) << "not its turn";
  clock_ += 2s;
  ASSERT_TRUE(apply({}));
  EXPECT_GE(asked(), 3u);
  EXPECT_EQ(sink_->waiting(), 100);
}

TEST_F(MlflowSinkTest, OfALongTraceNoMoreSpansAreSaidThanFitAndNotForEachThatComes) {
  config_.spans.bytes_max = 2'500'000;
  answer_max_ = 10s;  // of megabytes, under a sanitizer
  open();
  const auto long_trace = [](const std::string& span, const std::string& more = "") {
    return trace("tr-1", at(0), located("", at(0)) + R"(,"state":"OK")",
                 R"([{"span_id":")" + span + R"(","parent_span_id":"up","text":")" + std::string(800'000, 'x') + "\"}" +
                     more + "]");
  };
  const auto puts = [this] {
    const auto said = mlflow_.said();
    return std::ranges::count_if(said, [](const auto& s) { return s.starts_with("PUT"); });
  };
  ASSERT_TRUE(apply({add(long_trace("s1")), add(long_trace("s2"))}));
  EXPECT_EQ(puts(), 1);
  ASSERT_TRUE(apply({add(long_trace("s3", R"(,{"span_id":"z","parent_span_id":null,"root":1})"))}));
  ASSERT_TRUE(apply({add(feedback("a-1", "tr-1", at(1), "n", "true"))}));
  EXPECT_EQ(puts(), 1) << "gathered for a while";
  EXPECT_TRUE(mlflow_.assessments().contains("a-1"));
  EXPECT_EQ(*positions_.load({Stream::traces, 0}), 2) << "and not passed over";
  clock_ += 2s;
  ASSERT_TRUE(apply({}));
  EXPECT_EQ(puts(), 2);
  EXPECT_EQ(*positions_.load({Stream::traces, 0}), 3);
  const auto artifact = mlflow_.artifacts().begin()->second;
  EXPECT_LE(artifact.size(), config_.spans.bytes_max + 10);
  EXPECT_NE(artifact.find("\"root\""), artifact.npos);
  EXPECT_EQ(artifact.find("\"s3\""), artifact.npos);
  EXPECT_NE(metrics_.text().find("assay_mlflow_spans_left_out_total 1"), std::string::npos);
  ASSERT_TRUE(apply({add(erase_trace("tr-1", at(2)))}));
  EXPECT_FALSE(mlflow_.traces().contains("tr-1"));
}

TEST_F(MlflowSinkTest, WhatItSaysOfItsMemoryGoesWithIt) {
  ASSERT_TRUE(apply({add(feedback("a-1", "tr-1", at(1), "n", "true"))}));
  EXPECT_NE(metrics_.text().find("assay_mlflow_waiting_records 1"), std::string::npos);
  EXPECT_NE(metrics_.text().find("assay_mlflow_kept_records 1"), std::string::npos);
  sink_.reset();
  EXPECT_NE(metrics_.text().find("assay_mlflow_waiting_records 0"), std::string::npos);
  EXPECT_NE(metrics_.text().find("assay_mlflow_kept_records 0"), std::string::npos);
}

TEST_F(MlflowSinkTest, WhatWaitsIsTriedAgainThoughTheClockWasSetBack) {
  ASSERT_TRUE(apply({add(feedback("a-1", "tr-1", at(1), "n", "true"))}));
  const auto asked = mlflow_.said().size();
  clock_ -= 24h;
  ASSERT_TRUE(apply({}));
  EXPECT_GT(mlflow_.said().size(), asked);
}

}  // namespace
}  // namespace assay
