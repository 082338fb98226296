// What the sink by REST says to an MLflow that does as it should.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "tests/unit/storage/mlflow_sink_fixture.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;
using namespace testing_records;

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
  ASSERT_TRUE(apply(records));
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

TEST_F(MlflowSinkTest, ATraceThatHasEndedAndNamesNoPlaceGoesIntoTheDefaultExperiment) {
  ASSERT_TRUE(apply({add(trace("tr-1", at(0), R"("state":"IN_PROGRESS")"))}));
  EXPECT_FALSE(mlflow_.traces().contains("tr-1"));
  ASSERT_TRUE(apply({add(trace("tr-1", at(1), R"("state":"OK")")), add(feedback("a-1", "tr-1", at(2), "n", "true"))}));
  EXPECT_EQ(mlflow_.traces().at("tr-1").at("trace_location").at("mlflow_experiment").at("experiment_id"), "1");
  EXPECT_TRUE(mlflow_.assessments().contains("a-1"));
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

TEST_F(MlflowSinkTest, WhatIsNotInMlflowsOwnWordsIsNoRefusal) {
  mlflow_.is_behind_tls(true);
  const std::vector records{add(ok_trace("tr-1")), add(feedback("a-1", "tr-1", at(1), "n", "true"))};
  EXPECT_FALSE(apply(records));
  mlflow_.is_behind_tls(false);
  for (int i = 0; i < 10 && !apply(records); ++i) clock_ += 2s;
  EXPECT_TRUE(mlflow_.assessments().contains("a-1"));
  EXPECT_TRUE(dead_.empty());
}

TEST_F(MlflowSinkTest, WhatAnExperimentThatWasDeletedHasHadWaitsForItsRestoration) {
  mlflow_.delete_experiments(true);
  ASSERT_TRUE(apply({add(ok_trace("tr-1")), add(feedback("a-1", "tr-1", at(1), "n", "true"))}));
  EXPECT_TRUE(mlflow_.traces().empty());
  mlflow_.delete_experiments(false);
  for (int i = 0; i < 20 && mlflow_.assessments().empty(); ++i) {
    clock_ += 1min;
    ASSERT_TRUE(apply({}));
  }
  EXPECT_TRUE(mlflow_.assessments().contains("a-1"));
  EXPECT_TRUE(dead_.empty());
}

// Who asks MLflow waits for what is under way, not for that.
TEST_F(MlflowSinkTest, WhatWaitsForItsTraceHasBeenTried) {
  const StreamPartition of{Stream::assessments, 0};
  ASSERT_TRUE(apply({add(ok_trace("tr-1")), add(feedback("a-1", "tr-2", at(1), "n", "true")),
                     add(feedback("a-2", "tr-1", at(1), "n", "true"))}));
  EXPECT_EQ(sink_->applied(of), 0);
  EXPECT_EQ(sink_->tried(of), 2);
  mlflow_.fault([](const auto& r, bool) { return r.method == "POST" ? 500 : 0; });
  EXPECT_FALSE(apply({add(feedback("a-3", "tr-1", at(2), "m", "true"))}));
  EXPECT_EQ(sink_->tried(of), 2);
}

// A position behind it would leave the tag as it was for good.
TEST_F(MlflowSinkTest, FeedbackHasNotEndedBeforeItsTraceIsTagged) {
  ASSERT_TRUE(apply({add(ok_trace("tr-1")), add(feedback("a-1", "tr-1", at(1), "n", "true"))}));
  ASSERT_EQ(saved(), 1);
  std::atomic<bool> away{true};
  mlflow_.fault([&away](const auto& r, bool) { return r.path.ends_with("/tags") && away ? 500 : 0; });
  const std::vector records{add(feedback("a-2", "tr-1", at(2), "m", "2")),
                            add(update("a-1", "c-1", "tr-1", at(3), R"("feedback":{"value":false})")),
                            add(feedback("a-3", "tr-1", at(4), "o", "3"))};
  for (int i = 0; i < 5; ++i) {
    static_cast<void>(apply(records));
    clock_ += 1s;
  }
  EXPECT_EQ(mlflow_.assessments().size(), 3u);
  EXPECT_EQ(saved(), 1);
  EXPECT_FALSE(sink_->has({Stream::assessments, 0}, 2));
  open();
  away = false;
  const std::vector again{records};
  for (int i = 0; i < 10 && !apply(again); ++i) clock_ += 2s;
  EXPECT_EQ(mlflow_.traces().at("tr-1").at("tags").at("assay.feedback"), "m=2.0,n=false,o=3.0");
  EXPECT_EQ(saved(), 4);
  EXPECT_EQ(sink_->unfinished(), 0);
}

TEST_F(MlflowSinkTest, TheTagIsWrittenThoughTheAnswerToItsFeedbackWasNotHeard) {
  ASSERT_TRUE(apply({add(ok_trace("tr-1"))}));
  std::atomic<bool> lost{false};
  mlflow_.fault([&lost](const auto& r, bool after) {
    return after && r.method == "POST" && r.path.ends_with("/assessments") && !lost.exchange(true) ? 1 : 0;
  });
  const std::vector records{add(feedback("a-1", "tr-1", at(1), "n", "true"))};
  for (int i = 0; i < 10 && !apply(records); ++i) clock_ += 2s;
  EXPECT_TRUE(lost);
  EXPECT_EQ(mlflow_.traces().at("tr-1").at("tags").at("assay.feedback"), "n=true");
}

TEST_F(MlflowSinkTest, OfAChangeThatIsPartlyOfAnotherKindTheRestCounts) {
  ASSERT_TRUE(apply({add(ok_trace("tr-1")), add(feedback("a-1", "tr-1", at(1), "n", "true"))}));
  ASSERT_TRUE(apply({add(update("a-1", "c-1", "tr-1", at(2), R"("expectation":{"value":"x"},"metadata":{"k":"v"})"))}));
  EXPECT_EQ(mlflow_.assessments().at("a-1").at("metadata").at("k"), "v");
  EXPECT_TRUE(dead_.empty());
}

// MLflow would stamp them with its own clock, and take an older word for the last one.
TEST_F(MlflowSinkTest, ChangesThatCameWithTheirCreateAreSaidWithIt) {
  ASSERT_TRUE(apply({add(ok_trace("tr-1")), add(feedback("a-1", "tr-1", at(1), "n", "true")),
                     add(update("a-1", "c-1", "tr-1", at(2), R"("feedback":{"value":false})"))}));
  EXPECT_EQ(mlflow_.assessments().at("a-1").at("feedback").at("value"), false);
  EXPECT_EQ(sink_->ledger(), (SinkLedger{.read = 2, .applied = 2}));
  const auto patches = [&] {
    const auto said = mlflow_.said();
    return std::ranges::count_if(
        said, [](const auto& s) { return s.starts_with("PATCH") && s.find("/assessments/") != s.npos; });
  };
  EXPECT_EQ(patches(), 0);
  ASSERT_TRUE(apply({add(update("a-1", "c-0", "tr-1", at(1), R"("rationale":"older, and of another field")"))}));
  EXPECT_EQ(mlflow_.assessments().at("a-1").at("rationale"), "older, and of another field");
  EXPECT_EQ(patches(), 1);
}

TEST_F(MlflowSinkTest, AChangeThatMlflowRefusesDoesNotTakeItsCreateWithIt) {
  mlflow_.fault([](const auto& r, bool after) { return !after && r.body.find("bad words") != r.body.npos ? 400 : 0; });
  ASSERT_TRUE(apply({add(ok_trace("tr-1")), add(feedback("a-1", "tr-1", at(1), "n", "true")),
                     add(update("a-1", "c-1", "tr-1", at(2), R"("rationale":"bad words")"))}));
  EXPECT_TRUE(mlflow_.assessments().contains("a-1"));
  ASSERT_EQ(dead_.size(), 1u);
  EXPECT_EQ(dead_[0].record_id, "c-1");
}

TEST_F(MlflowSinkTest, AClientsOwnWordForItsTagIsNotSaidThereAndNotTakenAway) {
  ASSERT_TRUE(apply({add(ok_trace("tr-1")), add(feedback("a-1", "tr-1", at(1), "n", "true")),
                     add(trace("tr-1", at(2), R"("tags":{"assay.feedback":"mine"})")),
                     add(trace("tr-1", at(3), R"("tags":{"assay.feedback":null})"))}));
  EXPECT_EQ(mlflow_.traces().at("tr-1").at("tags").at("assay.feedback"), "n=true");
}

TEST_F(MlflowSinkTest, TextsAreAsLongAsItsTablesHold) {
  ASSERT_TRUE(apply({add(ok_trace("tr-1", R"(,"request_preview":")" + std::string(2000, 'p') + R"(","tags":{"long":")" +
                                              std::string(9000, 't') +
                                              R"(","nul":"a\u0000b"},"trace_metadata":{"mlflow.trace.session":")" +
                                              std::string(300, 's') + "\"}"))}));
  const auto told = mlflow_.traces().at("tr-1");
  EXPECT_EQ(told.at("request_preview").as_string().size(), 1000u);
  EXPECT_EQ(told.at("tags").at("long").as_string().size(), 8000u);
  EXPECT_EQ(told.at("tags").at("nul"), "ab");
  EXPECT_EQ(told.at("trace_metadata").at("mlflow.trace.session").as_string().size(), 250u);
}

TEST_F(MlflowSinkTest, ARecordThatMakesATraceTooMuchIsADeadLetterAsAWhole) {
  std::string tags;
  for (std::size_t i = 0; i < trace_entries_max; ++i) tags += (i ? R"(,"k)" : R"("k)") + std::to_string(i) + R"(":"v")";
  ASSERT_TRUE(apply({add(ok_trace("tr-1", R"(,"tags":{)" + tags + "}")),
                     add(trace("tr-1", at(1), R"("tags":{"more":"v"})", R"([{"span_id":"s2"}])"))}));
  ASSERT_EQ(dead_.size(), 1u);
  EXPECT_NE(dead_[0].detail.find("tags and entries of metadata"), std::string::npos) << dead_[0].detail;
  for (const auto& [path, spans] : mlflow_.artifacts()) EXPECT_EQ(spans.find("s2"), std::string::npos);
}

}  // namespace
}  // namespace assay
