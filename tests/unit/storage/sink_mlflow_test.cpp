#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>

#include "storage/sinks/mlflow_json.hpp"
#include "storage/sinks/mlflow_rest.hpp"
#include "storage/state/memory_key_value.hpp"
#include "tests/support/hand_clock.hpp"
#include "tests/unit/storage/fake_mlflow.hpp"
#include "tests/unit/storage/store_records.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;
using namespace testing_records;

class MlflowSinkTest : public testing::Test {
 protected:
  MlflowSinkTest() { open(); }
  // As a process that was killed and has started again.
  void open() {
    sink_.reset();
    config_.mlflow.url = mlflow_.url();
    config_.mlflow.limits.first_byte = answer_max_;
    sink_ = std::make_unique<MlflowSink>(
        config_, positions_, kv_,
        [this](DeadLetter dead) {
          dead_.push_back(std::move(dead));
          return Result<void>();
        },
        clock_, metrics_);
    for (const auto stream : sink_->follows()) ASSERT_TRUE(sink_->position({stream, 0}));
  }
  const LogRecord& add(Record record) { return log_.add(std::move(record)); }
  Result<void> apply(std::vector<LogRecord> records) { return sink_->apply(records); }
  Offset saved() { return *positions_.load({Stream::assessments, 0}); }
  static Record ok_trace(const std::string& id, const std::string& more = "") {
    return trace(id, at(0), located("", at(0)) + R"(,"state":"OK")" + more, R"([{"span_id":"s1"}])");
  }

  // Its experiment is not there.
  static Record lost_trace(const std::string& id) {
    return trace(id, at(0), located("999", at(0)) + R"(,"state":"OK")", R"([{"span_id":"s1","secret":1}])");
  }
  std::vector<LogRecord> many(std::size_t n, const std::string& prefix,
                              const std::function<Record(std::string)>& make) {
    std::vector<LogRecord> out;
    for (std::size_t i = 0; i < n; ++i) out.push_back(add(make(prefix + std::to_string(i))));
    return out;
  }

  test::FakeMlflow mlflow_;
  MlflowSinkConfig config_{.mlflow = {.experiment = "exp"}, .wait_max = 1h};
  std::chrono::milliseconds answer_max_{300};
  MemoryKeyValue kv_;
  KeyValuePositions positions_{kv_, "mlflow"};
  HandClock clock_{t0};
  Metrics metrics_;
  std::vector<DeadLetter> dead_;
  std::unique_ptr<MlflowSink> sink_;
  Log log_;
};

TEST_F(MlflowSinkTest, CommitsATraceItsSpansItsFeedbackAndTheTag) {
  ASSERT_TRUE(apply({add(ok_trace("tr-1")), add(feedback("a-1", "tr-1", at(1), "user_feedback", "true"))}));
  const auto traces = mlflow_.traces();
  ASSERT_TRUE(traces.contains("tr-1"));
  EXPECT_EQ(traces.at("tr-1").at("trace_location").at("mlflow_experiment").at("experiment_id"), "1");
  EXPECT_EQ(traces.at("tr-1").at("tags").at("assay.feedback"), "user_feedback=true");
  EXPECT_EQ(mlflow_.artifacts().begin()->first,
            "/api/2.0/mlflow-artifacts/artifacts/1/traces/tr-1/artifacts/traces.json");
  EXPECT_EQ(mlflow_.artifacts().begin()->second, R"({"spans":[{"span_id":"s1"}]})");
  EXPECT_EQ(mlflow_.assessments().at("a-1").at("feedback").at("value"), true);
  EXPECT_EQ(saved(), 1);
  EXPECT_EQ(sink_->ledger(), (SinkLedger{.read = 1, .applied = 1}));
}

TEST_F(MlflowSinkTest, WhatItsSpansUsedIsSaidOfTheTrace) {
  const auto used = [](const std::string& id, const std::string& tokens) {
    return R"([{"span_id":")" + id + R"(","attributes":{"mlflow.chat.tokenUsage":"{\"input_tokens\": )" + tokens +
           R"(}"}}])";
  };
  const auto info = located("", at(0)) + R"(,"state":"OK")";
  ASSERT_TRUE(apply({add(trace("tr-1", at(0), info, used("s1", "3")))}));
  ASSERT_TRUE(apply({add(trace("tr-1", at(0), info, used("s2", "4")))}));
  EXPECT_EQ(mlflow_.traces().at("tr-1").at("trace_metadata").at("mlflow.trace.tokenUsage"),
            R"({"input_tokens": 7, "output_tokens": 0, "total_tokens": 0})");
}

TEST_F(MlflowSinkTest, ALongClientRequestIdGoesIntoTheMetadata) {
  const std::string id(60, 'x');
  ASSERT_TRUE(apply({add(ok_trace("tr-1", R"(,"client_request_id":")" + id + "\""))}));
  const auto info = mlflow_.traces().at("tr-1");
  EXPECT_FALSE(info.contains("client_request_id"));
  EXPECT_EQ(info.at("trace_metadata").at("assay.client_request_id"), boost::json::string(id));
}

TEST_F(MlflowSinkTest, AClientRequestIdIsMeasuredInCharacters) {
  std::string id;
  for (int i = 0; i < 50; ++i) id += "问";
  ASSERT_TRUE(apply({add(ok_trace("tr-1", R"(,"client_request_id":")" + id + "\""))}));
  EXPECT_EQ(mlflow_.traces().at("tr-1").at("client_request_id"), boost::json::string(id));
}

TEST_F(MlflowSinkTest, SayingEverythingAgainAfterAKillMakesNothingTwice) {
  const std::vector records{add(ok_trace("tr-1")), add(feedback("a-1", "tr-1", at(1), "n", "true")),
                            add(update("a-1", "u-1", "tr-1", at(2), R"("feedback":{"value":false})"))};
  ASSERT_TRUE(apply(records));
  kv_.clear();
  open();
  ASSERT_TRUE(apply(records));
  EXPECT_EQ(mlflow_.assessments().size(), 1u);
  EXPECT_EQ(mlflow_.assessments().at("a-1").at("feedback").at("value"), false);
  EXPECT_EQ(sink_->ledger(), (SinkLedger{.read = 3 - 1, .applied = 1, .duplicate = 1}));
  EXPECT_TRUE(dead_.empty());
}

TEST_F(MlflowSinkTest, ACommitWhoseAnswerWasLostIsNotMadeTwice) {
  ASSERT_TRUE(apply({add(ok_trace("tr-1"))}));
  int lost = 1;
  mlflow_.fault([&](const auto& r, bool after) {
    return after && r.method == "POST" && r.path.ends_with("/assessments") && lost-- > 0 ? 500 : 0;
  });
  const std::vector records{add(feedback("a-1", "tr-1", at(1), "n", "true"))};
  EXPECT_FALSE(apply(records));
  EXPECT_EQ(saved(), 0);
  EXPECT_EQ(sink_->ledger().unaccounted(), 1);  // in flight
  ASSERT_TRUE(apply(records));
  EXPECT_EQ(sink_->ledger(), (SinkLedger{.read = 1, .duplicate = 1}));
  EXPECT_EQ(mlflow_.assessments().size(), 1u);
  EXPECT_EQ(saved(), 1);
}

TEST_F(MlflowSinkTest, EarlyFeedbackWaitsForItsTraceAndHoldsThePosition) {
  ASSERT_TRUE(apply({add(feedback("a-1", "tr-1", at(1), "n", "true"))}));
  EXPECT_EQ(sink_->waiting(), 1);
  EXPECT_EQ(saved(), 0);
  ASSERT_TRUE(apply({add(ok_trace("tr-2")), add(feedback("a-2", "tr-2", at(1), "n", "true"))}));
  EXPECT_EQ(saved(), 0);
  EXPECT_TRUE(mlflow_.assessments().contains("a-2"));
  ASSERT_TRUE(apply({add(ok_trace("tr-1"))}));
  EXPECT_TRUE(mlflow_.assessments().contains("a-1"));
  EXPECT_EQ(sink_->waiting(), 0);
  EXPECT_EQ(saved(), 2);
}

TEST_F(MlflowSinkTest, WhatWaitsIsTriedAgainByTimeAndInTheEndIsADeadLetterThatCanBeReplayed) {
  ASSERT_TRUE(apply({add(feedback("a-1", "tr-1", at(1), "n", "true"))}));
  const auto asked = mlflow_.said().size();
  ASSERT_TRUE(apply({}));
  EXPECT_EQ(mlflow_.said().size(), asked);
  clock_ += 2s;
  ASSERT_TRUE(apply({}));
  EXPECT_GT(mlflow_.said().size(), asked);
  clock_ += 1h;
  ASSERT_TRUE(apply({}));
  ASSERT_EQ(dead_.size(), 1u);
  EXPECT_EQ(dead_[0].reason, "refused");
  EXPECT_EQ(dead_[0].detail, "MLflow answered 404 RESOURCE_DOES_NOT_EXIST: Trace not found.");
  EXPECT_EQ(dead_[0].record->target.id, "req-tr-1");
  EXPECT_EQ(dead_[0].record->items[0].json.find("trace_id"), std::string::npos);
  EXPECT_EQ(sink_->ledger(), (SinkLedger{.read = 1, .dead = 1}));
  EXPECT_EQ(saved(), 1);
}

TEST_F(MlflowSinkTest, AnUpdateWaitsForItsCreateAndHoldsNobodyElseBack) {
  ASSERT_TRUE(apply({add(ok_trace("tr-1")), add(update("a-1", "u-1", "tr-1", at(1), R"("rationale":"changed")")),
                     add(feedback("a-2", "tr-1", at(2), "n", "true"))}));
  EXPECT_EQ(mlflow_.assessments().size(), 1u);
  ASSERT_TRUE(apply({add(feedback("a-1", "tr-1", at(3), "n", "true", R"(,"rationale":"first")"))}));
  EXPECT_EQ(mlflow_.assessments().at("a-1").at("rationale"), "changed");
  EXPECT_EQ(sink_->ledger(), (SinkLedger{.read = 3, .applied = 3}));
}

TEST_F(MlflowSinkTest, WhatWasDeletedDoesNotComeBack) {
  ASSERT_TRUE(apply({add(ok_trace("tr-1")), add(erase("a-1", "d-1", "tr-1", at(1))),
                     add(feedback("a-1", "tr-1", at(2), "n", "true")), add(ok_trace("tr-2")),
                     add(feedback("a-2", "tr-2", at(2), "n", "true"))}));
  ASSERT_TRUE(apply({add(erase_trace("tr-2", at(3)))}));
  open();
  ASSERT_TRUE(apply({add(feedback("a-3", "tr-2", at(4), "n", "true")), add(ok_trace("tr-2")),
                     add(feedback("a-1", "tr-1", at(5), "n", "true"))}));
  EXPECT_TRUE(mlflow_.assessments().empty());
  EXPECT_FALSE(mlflow_.traces().contains("tr-2"));
}

TEST_F(MlflowSinkTest, OfTwoChangesTheOneAcceptedLastWinsWhateverTheirOrderInTheLog) {
  ASSERT_TRUE(apply({add(ok_trace("tr-1")), add(feedback("a-1", "tr-1", at(1), "n", "true", R"(,"rationale":"first")")),
                     add(update("a-1", "u-2", "tr-1", at(3), R"("rationale":"last")")),
                     add(update("a-1", "u-1", "tr-1", at(2), R"("rationale":"before","feedback":{"value":false})"))}));
  EXPECT_EQ(mlflow_.assessments().at("a-1").at("rationale"), "last");
  EXPECT_EQ(mlflow_.assessments().at("a-1").at("feedback").at("value"), false);
}

TEST_F(MlflowSinkTest, AnotherWorkersDeletesAndChangesAreReadAgainFromTheLog) {
  const std::vector records{
      add(ok_trace("tr-1")), add(feedback("a-1", "tr-1", at(1), "n", "true", R"(,"rationale":"first")")),
      add(update("a-1", "u-2", "tr-1", at(5), R"("rationale":"last")")), add(erase("a-2", "d-2", "tr-1", at(2)))};
  ASSERT_TRUE(apply(records));
  // The partition moves: the positions go with it, what this machine had marked does not.
  const auto traces = *positions_.load({Stream::traces, 0}), said = saved();
  kv_.clear();
  ASSERT_TRUE(positions_.save(std::vector<Position>{{{Stream::traces, 0}, traces}, {{Stream::assessments, 0}, said}}));
  open();
  EXPECT_EQ(*sink_->position({Stream::assessments, 0}), 0);
  const auto asked = mlflow_.said().size();
  ASSERT_TRUE(apply(records));
  EXPECT_EQ(mlflow_.said().size(), asked);  // nothing is said again
  EXPECT_EQ(sink_->ledger(), SinkLedger{});
  ASSERT_TRUE(apply({add(feedback("a-2", "tr-1", at(6), "late", "true")),
                     add(update("a-1", "u-1", "tr-1", at(4), R"("rationale":"older")"))}));
  EXPECT_FALSE(mlflow_.assessments().contains("a-2"));
  EXPECT_EQ(mlflow_.assessments().at("a-1").at("rationale"), "last");
  EXPECT_EQ(saved(), 5);
}

TEST_F(MlflowSinkTest, RetryAfterIsWaitedForAndNothingFails) {
  ASSERT_TRUE(apply({add(ok_trace("tr-1"))}));
  int refused = 2;
  mlflow_.fault([&](const auto& r, bool after) { return !after && r.method == "POST" && refused-- > 0 ? 429 : 0; });
  ASSERT_TRUE(apply({add(feedback("a-1", "tr-1", at(1), "n", "true"))}));
  EXPECT_TRUE(mlflow_.assessments().contains("a-1"));
}

TEST_F(MlflowSinkTest, ALateRecordOfATracesBeginningTakesNothingAway) {
  ASSERT_TRUE(apply({add(trace("tr-1", at(5), located("", at(0)) + R"(,"state":"OK","response_preview":"done")"))}));
  ASSERT_TRUE(apply({add(trace("tr-1", at(0), located("", at(0)) + R"(,"state":"IN_PROGRESS")"))}));
  EXPECT_EQ(mlflow_.traces().at("tr-1").at("state"), "OK");
  EXPECT_EQ(mlflow_.traces().at("tr-1").at("response_preview"), "done");
}

TEST_F(MlflowSinkTest, ARefusalIsADeadLetterInMlflowsWordsAndTheNextOnesGoOn) {
  mlflow_.fault([](const auto& r, bool after) { return !after && r.body.find("\"a-1\"") != r.body.npos ? 400 : 0; });
  ASSERT_TRUE(apply({add(ok_trace("tr-1")), add(feedback("a-1", "tr-1", at(1), "n", "true")),
                     add(feedback("a-2", "tr-1", at(2), "n", "true")),
                     add({.stream = Stream::assessments, .key = "k", .value = "poison"})}));
  ASSERT_EQ(dead_.size(), 2u);
  EXPECT_TRUE(mlflow_.assessments().contains("a-2"));
  EXPECT_EQ(sink_->ledger(), (SinkLedger{.read = 3, .applied = 1, .dead = 2}));
}

TEST_F(MlflowSinkTest, OfOneIdForTwoTracesInOneBatchTheFirstOfTheLogStays) {
  config_.requests_max = 1;  // tr-2, of which the log spoke first, has its turn first
  open();
  ASSERT_TRUE(
      apply({add(ok_trace("tr-2")), add(ok_trace("tr-1")), add(feedback("a-1", "tr-1", at(1), "n", "true")),
             add(feedback("a-1", "tr-2", at(2), "n", "false")), add(feedback("a-1", "tr-3", at(3), "n", "false")),
             add(feedback("a-1", "tr-2", at(4), "n", "false")), add(feedback("a-2", "tr-2", at(5), "n", "true"))}));
  EXPECT_EQ(mlflow_.assessments().at("a-1").at("trace_id"), "tr-1");
  EXPECT_TRUE(mlflow_.assessments().contains("a-2"));
  EXPECT_EQ(sink_->ledger(), (SinkLedger{.read = 5, .applied = 2, .duplicate = 2}));
  EXPECT_EQ(saved(), 2) << "tr-3 is not there";
  ASSERT_TRUE(apply({add(ok_trace("tr-3"))}));
  EXPECT_EQ(sink_->ledger(), (SinkLedger{.read = 5, .applied = 2, .duplicate = 3}));
  EXPECT_EQ(saved(), 5);
}

TEST_F(MlflowSinkTest, AnIdWhoseTraceIsNotThereGoesToTheNextThatWantsIt) {
  ASSERT_TRUE(apply({add(feedback("a-1", "tr-1", at(1), "n", "true")), add(ok_trace("tr-2")),
                     add(feedback("a-1", "tr-2", at(2), "n", "false"))}));
  EXPECT_EQ(mlflow_.assessments().at("a-1").at("trace_id"), "tr-2");
  ASSERT_TRUE(apply({add(ok_trace("tr-1"))}));
  EXPECT_EQ(mlflow_.assessments().at("a-1").at("trace_id"), "tr-2");
  EXPECT_EQ(sink_->ledger(), (SinkLedger{.read = 2, .applied = 1, .duplicate = 1}));
}

TEST_F(MlflowSinkTest, AnExperimentThatATraceNamesIsOneOfThatNameThoughItIsANumber) {
  ASSERT_TRUE(apply({add(ok_trace("tr-1", R"(,"trace_metadata":{"assay.experiment":"2026"})"))}));
  EXPECT_EQ(mlflow_.traces().at("tr-1").at("trace_location").at("mlflow_experiment").at("experiment_id"), "1");
  const auto said = mlflow_.said();
  EXPECT_TRUE(std::ranges::count(said, "GET /api/2.0/mlflow/experiments/get-by-name?experiment_name=2026"));
}

TEST_F(MlflowSinkTest, AnIdThatAnotherTraceHasIsADuplicateAndTheFirstOneStays) {
  ASSERT_TRUE(apply({add(ok_trace("tr-1")), add(feedback("a-1", "tr-1", at(1), "n", "true"))}));
  ASSERT_TRUE(apply({add(ok_trace("tr-2")), add(feedback("a-1", "tr-2", at(2), "n", "false")),
                     add(feedback("a-2", "tr-2", at(3), "n", "1"))}));
  EXPECT_EQ(mlflow_.assessments().at("a-1").at("trace_id"), "tr-1");
  EXPECT_EQ(mlflow_.assessments().at("a-1").at("feedback").at("value"), true);
  EXPECT_TRUE(mlflow_.assessments().contains("a-2"));
  EXPECT_EQ(sink_->ledger(), (SinkLedger{.read = 3, .applied = 2, .duplicate = 1}));
  EXPECT_EQ(saved(), 3);
}

TEST_F(MlflowSinkTest, ARecordAtWhichMlflowBreaksIsADeadLetterInItsWordsOnceItAnswersEverythingElse) {
  mlflow_.fault([](const auto& r, bool after) { return after && r.body.find("\"bad\"") != r.body.npos ? 500 : 0; });
  const std::vector records{add(ok_trace("tr-1", R"(,"request_preview":"bad")")), add(ok_trace("tr-2")),
                            add(feedback("a-2", "tr-2", at(1), "n", "true")),
                            add(feedback("a-3", "tr-2", at(2), "n", "\"bad\""))};
  for (int i = 0; i < 12; ++i) {
    EXPECT_FALSE(apply(records)) << "nothing is given up within 30 seconds";
    clock_ += 2s;
  }
  EXPECT_TRUE(dead_.empty());
  for (int i = 0; i < 12 && dead_.size() < 2; ++i, clock_ += 5s) (void)apply(records);
  ASSERT_EQ(dead_.size(), 2u);
  EXPECT_EQ(dead_[0].detail, "MLflow answered 500 INTERNAL_ERROR: fault");
  EXPECT_TRUE(mlflow_.assessments().contains("a-2"));
  ASSERT_TRUE(apply({}));
  EXPECT_EQ(saved(), 2);
  EXPECT_EQ(sink_->ledger().dead, 1);
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

TEST_F(MlflowSinkTest, WhatWaitsIsTriedAgainThoughTheClockWasSetBack) {
  ASSERT_TRUE(apply({add(feedback("a-1", "tr-1", at(1), "n", "true"))}));
  const auto asked = mlflow_.said().size();
  clock_ -= 24h;
  ASSERT_TRUE(apply({}));
  EXPECT_GT(mlflow_.said().size(), asked);
}

TEST_F(MlflowSinkTest, WhatItSaysOfItsMemoryGoesWithIt) {
  ASSERT_TRUE(apply({add(feedback("a-1", "tr-1", at(1), "n", "true"))}));
  EXPECT_NE(metrics_.text().find("assay_mlflow_waiting_records 1"), std::string::npos);
  EXPECT_NE(metrics_.text().find("assay_mlflow_kept_records 1"), std::string::npos);
  sink_.reset();
  EXPECT_NE(metrics_.text().find("assay_mlflow_waiting_records 0"), std::string::npos);
  EXPECT_NE(metrics_.text().find("assay_mlflow_kept_records 0"), std::string::npos);
}

TEST_F(MlflowSinkTest, ATraceThatHasEndedAndNamesNoPlaceGoesIntoTheDefaultExperiment) {
  ASSERT_TRUE(apply({add(trace("tr-1", at(0), R"("state":"IN_PROGRESS")"))}));
  EXPECT_FALSE(mlflow_.traces().contains("tr-1"));
  ASSERT_TRUE(apply({add(trace("tr-1", at(1), R"("state":"OK")")), add(feedback("a-1", "tr-1", at(2), "n", "true"))}));
  EXPECT_EQ(mlflow_.traces().at("tr-1").at("trace_location").at("mlflow_experiment").at("experiment_id"), "1");
  EXPECT_TRUE(mlflow_.assessments().contains("a-1"));
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
  std::atomic<int> asked{0};
  mlflow_.fault([&](const auto&, bool after) {
    const int n = ++asked;
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

TEST_F(MlflowSinkTest, WhatTakesThePlaceOfSomethingDeletedIsSaidWithoutItsName) {
  ASSERT_TRUE(apply({add(ok_trace("tr-1")), add(feedback("a-1", "tr-1", at(1), "n", "true")),
                     add(erase("a-1", "d-1", "tr-1", at(2))),
                     add(feedback("a-2", "tr-1", at(3), "n", "false", R"(,"overrides":"a-1")")),
                     add(feedback("a-3", "tr-1", at(4), "n", "false", R"(,"overrides":"a-4")"))}));
  EXPECT_TRUE(mlflow_.assessments().contains("a-2"));
  EXPECT_FALSE(mlflow_.assessments().at("a-2").contains("overrides"));
  EXPECT_EQ(sink_->waiting(), 1) << "for what has not come yet";
  ASSERT_TRUE(apply({add(erase("a-4", "d-4", "tr-1", at(5)))}));
  EXPECT_TRUE(mlflow_.assessments().contains("a-3"));
}

TEST_F(MlflowSinkTest, ATraceThatHasNoFeedbackAnyMoreHasNoTagOfIt) {
  ASSERT_TRUE(apply({add(ok_trace("tr-1")), add(feedback("a-1", "tr-1", at(1), "n", "true"))}));
  EXPECT_TRUE(mlflow_.traces().at("tr-1").at("tags").as_object().contains("assay.feedback"));
  ASSERT_TRUE(apply({add(erase("a-1", "d-1", "tr-1", at(2)))}));
  EXPECT_FALSE(mlflow_.traces().at("tr-1").at("tags").as_object().contains("assay.feedback"));
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

TEST(MlflowJson, TheTagIsMadeOfTheLastValidValueOfEachName) {
  const auto seen = mlflow::seen_trace(
      R"({"trace":{"trace_info":{"tags":{"assay.feedback":"old"},"assessments":[)"
      R"({"assessment_name":"n","assessment_id":"a-1","feedback":{"value":1.0},"last_update_time":"2026-11-23T15:57:31.5Z"},)"
      R"({"assessment_name":"n","assessment_id":"a-2","feedback":{"value":2.0},"last_update_time":"2026-11-23T15:57:31Z"},)"
      R"({"assessment_name":"m","assessment_id":"a-3","feedback":{"value":"x"},"valid":false},)"
      R"({"assessment_name":"e","assessment_id":"a-4","expectation":{"value":"x"}}]}}})");
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->tag, "old");
  EXPECT_EQ(seen->wanted_tag, "n=1.0");
}

// Else a second replay would have the first one's id, and be left out as a repeat.
TEST(MlflowDeadLetter, OfAReplayKnowsItsAttempt) {
  for (const auto& [id, attempt] : {std::pair{"u-1", 0}, {"u-1#1", 1}, {"u-1#12", 12}}) {
    const AssessmentRecord change{
        .op = Op::update, .assessment_id = "a-1", .trace_id = "tr-1", .record_id = id, .json = "{}"};
    const auto feedback = mlflow::feedback_of(change);
    EXPECT_EQ(feedback.attempt, attempt) << id;
    EXPECT_EQ(feedback.items[0].record_id, id);
  }
}

}  // namespace
}  // namespace assay
