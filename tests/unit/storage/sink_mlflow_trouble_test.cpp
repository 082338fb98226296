// An MLflow that breaks, refuses, is slow, silent or away.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/unit/storage/mlflow_sink_fixture.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;
using namespace testing_records;

TEST_F(MlflowSinkTest, ARecordAtWhichMlflowBreaksWaitsAloneAndIsADeadLetterInItsWords) {
  mlflow_.fault([](const auto& r, bool after) { return after && r.body.find("\"bad\"") != r.body.npos ? 500 : 0; });
  const std::vector records{add(ok_trace("tr-1", R"(,"request_preview":"bad")")), add(ok_trace("tr-2")),
                            add(feedback("a-2", "tr-2", at(1), "n", "true")),
                            add(feedback("a-3", "tr-2", at(2), "n", "\"bad\""))};
  ASSERT_TRUE(apply(records));
  ASSERT_TRUE(apply({add(ok_trace("tr-3")), add(feedback("a-4", "tr-3", at(1), "n", "true"))}));
  EXPECT_TRUE(mlflow_.assessments().contains("a-4")) << "nobody waits for what MLflow breaks at";
  EXPECT_EQ(saved(), 1) << "what waits is not passed";
  for (int i = 0; i < 14; ++i, clock_ += 2s) ASSERT_TRUE(apply({}));
  EXPECT_TRUE(dead_.empty()) << "nothing is given up within 30 seconds";
  for (int i = 0; i < 12 && dead_.size() < 2; ++i, clock_ += 5s) ASSERT_TRUE(apply({}));
  ASSERT_EQ(dead_.size(), 2u);
  EXPECT_EQ(dead_[0].detail, "MLflow answered 500 INTERNAL_ERROR: fault");
  EXPECT_TRUE(mlflow_.assessments().contains("a-2"));
  ASSERT_TRUE(apply({}));
  EXPECT_EQ(saved(), 3);
  EXPECT_EQ(sink_->ledger().dead, 1);
}

TEST_F(MlflowSinkTest, TheFirstBreakAfterAnOutageIsNotTheLastOne) {
  mlflow_.fault([](const auto&, bool after) { return after ? 500 : 0; });
  const std::vector records{add(ok_trace("tr-1")), add(ok_trace("tr-2", R"(,"request_preview":"locked")"))};
  for (int i = 0; i < 10; ++i, clock_ += 1min) EXPECT_FALSE(apply(records));
  int locked = 1;
  mlflow_.fault([&](const auto& r, bool after) {
    return after && r.body.find("\"locked\"") != r.body.npos && locked-- > 0 ? 500 : 0;
  });
  for (int i = 0; i < 5; ++i, clock_ += 1s) ASSERT_TRUE(apply({}));
  EXPECT_TRUE(dead_.empty());
  EXPECT_EQ(mlflow_.traces().size(), 2u);
}

TEST_F(MlflowSinkTest, AnMlflowThatBreaksAtAllItIsToldThoughItAnswersQuestionsIsWaitedFor) {
  mlflow_.fault([](const auto& r, bool after) { return after && !r.path.ends_with("/search") ? 500 : 0; });
  std::vector<LogRecord> records;
  for (int i = 0; i < 8; ++i) records.push_back(add(ok_trace("tr-" + std::to_string(i))));
  (void)apply(records);
  for (int i = 0; i < 40; ++i, clock_ += 1min) (void)apply({});
  EXPECT_TRUE(dead_.empty());
  mlflow_.fault({});
  for (int i = 0; i < 5; ++i, clock_ += 1min) ASSERT_TRUE(apply({}));
  EXPECT_EQ(mlflow_.traces().size(), 8u);
}

TEST_F(MlflowSinkTest, AnMlflowThatBreaksAtEverythingIsWaitedFor) {
  mlflow_.fault([](const auto&, bool after) { return after ? 500 : 0; });
  const std::vector records{add(ok_trace("tr-1"))};
  for (int i = 0; i < 20; ++i, clock_ += 1min) EXPECT_FALSE(apply(records));
  EXPECT_TRUE(dead_.empty());
}

TEST_F(MlflowSinkTest, AnIdThatMlflowsApiHasNoPathForIsADeadLetterAtOnce) {
  ASSERT_TRUE(apply({add(ok_trace("a/b")), add(feedback("a-1", "a/b", at(1), "n", "true")), add(ok_trace("tr-1")),
                     add(feedback("a-2", "tr-1", at(1), "n", "true")), add(erase("x/y", "d-1", "tr-1", at(2))),
                     add(ok_trace("."))}));
  ASSERT_EQ(dead_.size(), 4u);
  for (const auto& dead : dead_) EXPECT_EQ(dead.detail, "MLflow's REST API has no path for its id");
  EXPECT_FALSE(mlflow_.traces().contains("a/b"));
  EXPECT_TRUE(mlflow_.assessments().contains("a-2"));
  EXPECT_EQ(saved(), 3);
}

TEST_F(MlflowSinkTest, ARecordThatMlflowNeverAnswersInItsOwnWordsWaitsAloneAndInTheEndIsADeadLetter) {
  for (const int status : {1, 502, 403, 404}) {
    const auto n = std::to_string(status);
    dead_.clear();
    mlflow_.fault([status](const auto& r, bool after) {
      if (after || r.body.find("\"bad\"") == r.body.npos) return 0;
      if (status == 1) std::this_thread::sleep_for(400ms);  // longer than the sink waits
      return status;
    });
    const auto before = saved();
    const std::vector records{add(ok_trace("bad-" + n, R"(,"request_preview":"bad")")), add(ok_trace("tr-" + n)),
                              add(feedback("a-" + n, "tr-" + n, at(1), "n", "\"bad\"")),
                              add(feedback("b-" + n, "tr-" + n, at(2), "n", "true"))};
    EXPECT_FALSE(apply(records)) << "it may pass";
    for (int i = 0; i < 10 && !apply(records); ++i) clock_ += 2s;
    ASSERT_TRUE(apply({add(feedback("c-" + n, "tr-" + n, at(3), "n", "true"))})) << status;
    EXPECT_TRUE(mlflow_.assessments().contains("b-" + n));
    EXPECT_TRUE(mlflow_.assessments().contains("c-" + n));
    EXPECT_EQ(saved(), before);
    EXPECT_TRUE(dead_.empty());
    clock_ += 1h;
    ASSERT_TRUE(apply({add(feedback("d-" + n, "tr-" + n, at(4), "n", "true"))}));
    clock_ += 2min;
    ASSERT_TRUE(apply({}));
    EXPECT_EQ(dead_.size(), 2u) << status;
    EXPECT_EQ(saved(), before + 4);
  }
}

TEST_F(MlflowSinkTest, AnMlflowThatTakesNothingIsWaitedForThoughItAnswersQuestions) {
  mlflow_.fault([](const auto& r, bool after) { return after || r.path.ends_with("/search") ? 0 : 403; });
  std::vector<LogRecord> records;
  for (int i = 0; i < 40; ++i) records.push_back(add(ok_trace("tr-" + std::to_string(i))));
  EXPECT_FALSE(apply(records));
  for (int i = 0; i < 40; ++i, clock_ += 1h) (void)apply({});
  EXPECT_TRUE(dead_.empty());
  mlflow_.fault({});
  clock_ += 1h;
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(apply({}));
  EXPECT_EQ(mlflow_.traces().size(), 40u);
}

TEST_F(MlflowSinkTest, AnMlflowThatServesNoArtifactsGetsTheTraceWithoutItsSpans) {
  mlflow_.serves_no_artifacts();
  ASSERT_TRUE(apply({add(ok_trace("tr-1")), add(feedback("a-1", "tr-1", at(1), "n", "true"))}));
  EXPECT_TRUE(mlflow_.traces().contains("tr-1"));
  EXPECT_TRUE(mlflow_.assessments().contains("a-1"));
  EXPECT_TRUE(dead_.empty());
  EXPECT_EQ(saved(), 1);
}

TEST_F(MlflowSinkTest, ADeadLetterSaysThatMlflowAnsweredOnlyWhereItDid) {
  ASSERT_TRUE(
      apply({add(to_record(TraceRecord{.trace_id = "tr-1", .accepted_at = t0, .info = R"({"trace_id":"tr-1"})"}))}));
  ASSERT_EQ(dead_.size(), 1u);
  EXPECT_EQ(dead_[0].detail, "trace_info or spans can't be read");
}

TEST_F(MlflowSinkTest, WhileMlflowIsSlowOrDownThePositionStaysAndAfterwardsAllIsThereOnce) {
  std::vector<LogRecord> records;
  for (int i = 0; i < 40; ++i) {
    const auto n = std::to_string(i);
    records.push_back(add(ok_trace("tr-" + n)));
    records.push_back(add(feedback("a-" + n, "tr-" + n, at(1), "n", "true")));
  }
  // Shared with the server's threads, of which one may sleep when this function returns.
  const auto asked = std::make_shared<std::atomic<int>>(0);
  mlflow_.fault([asked](const auto&, bool after) {
    const int n = ++*asked;
    if (after) return n % 5 == 0 ? 503 : 0;
    if (n % 17 == 0) return 1;
    if (n % 19 == 0) std::this_thread::sleep_for(400ms);  // longer than the sink waits
    return 0;
  });
  int failed = 0;
  while (!apply(records)) ASSERT_LT(++failed, 500);
  EXPECT_GT(failed, 0);
  mlflow_.fault({});
  ASSERT_TRUE(apply({}));
  EXPECT_EQ(mlflow_.assessments().size(), 40u);
  EXPECT_EQ(saved(), 40);
  EXPECT_EQ(sink_->ledger().unaccounted(), 0);
  EXPECT_TRUE(dead_.empty());
}

TEST_F(MlflowSinkTest, EveryDeadLetterIsCounted) {
  ASSERT_TRUE(apply({add({.stream = Stream::assessments, .key = "k", .value = "poison"}),
                     add({.stream = Stream::traces, .key = "k", .value = "poison"}), add(ok_trace("a/b"))}));
  EXPECT_EQ(dead_.size(), 3u);
  EXPECT_NE(metrics_.text().find("assay_mlflow_refused_total 3"), std::string::npos);
}

TEST_F(MlflowSinkTest, StoppingEndsARequestThatWaits) {
  // Shared with the server's thread, which may look at it after this function has returned.
  const auto release = std::make_shared<std::atomic<bool>>(false);
  mlflow_.fault([this, release](const auto&, bool) {
    std::thread([this] { sink_->stop(); }).join();
    release->wait(false);
    return 1;
  });
  EXPECT_EQ(apply({add(feedback("a-1", "tr-1", at(1), "n", "true"))}).error(), Error::stopped);
  EXPECT_EQ(saved(), 0);
  *release = true;
  release->notify_all();
}

}  // namespace
}  // namespace assay
