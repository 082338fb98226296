#include <gtest/gtest.h>

#include "storage/sinks/store_sink.hpp"
#include "storage/state/memory_key_value.hpp"
#include "storage/store/keys.hpp"
#include "storage/store/store.hpp"
#include "storage/store/trace_usage.hpp"
#include "tests/support/hand_clock.hpp"
#include "tests/unit/storage/store_records.hpp"

namespace assay {
namespace {

using namespace testing_records;

class StoreTest : public testing::Test {
 protected:
  void apply(Record record, Partition partition = 0) {
    const auto read = log_.add(std::move(record), partition);
    ASSERT_TRUE(sink_.apply({&read, 1}));
  }
  std::string assessment(const std::string& id) { return store_.assessment(id)->value_or("none"); }
  std::string info(const std::string& id) { return store_.trace_info(id)->value_or("none"); }

  MemoryKeyValue kv_;
  HandClock clock_{t0};
  StoreSink sink_{kv_, clock_};
  Store store_{kv_};
  Log log_;
};

TEST_F(StoreTest, ACreateIsReadBackAsItWasAccepted) {
  apply(feedback("a-1", "tr-1", at(0), "user_feedback", "5.0", R"(,"rationale":"g\u00f6\"od","metadata":{"m":"x"})"));
  EXPECT_EQ(
      assessment("a-1"),
      R"({"assessment_id":"a-1","assessment_name":"user_feedback","trace_id":"tr-1","source":{"source_type":"HUMAN"},)"
      R"("feedback":{"value":5.0},"rationale":"g\u00f6\"od","metadata":{"m":"x"},"valid":true})");
}

TEST_F(StoreTest, AnUpdateFoldsInAndMergesMetadataByKey) {
  apply(feedback("a-1", "tr-1", at(0), "n", "true", R"(,"rationale":"r","metadata":{"a":"1","b":"2"})"));
  apply(update("a-1", "u-1", "tr-1", at(1),
               R"("feedback":{"value":false},"rationale":null,"metadata":{"b":"3","c":"4"},"last_update_time":"T1")"));
  EXPECT_EQ(assessment("a-1"),
            R"({"assessment_id":"a-1","assessment_name":"n","trace_id":"tr-1","source":{"source_type":"HUMAN"},)"
            R"("last_update_time":"T1","feedback":{"value":false},"metadata":{"a":"1","b":"3","c":"4"},"valid":true})");
}

TEST_F(StoreTest, ATombstoneSaysWhenItsTraceWasLastDeletedAndMayGoLongAfter) {
  const auto key = store_keys::trace_tombstone("tr-1");
  const auto may_go = [&](Instant cutoff) {
    return store_keys::tombstone_may_go(key, kv_.get(Family::traces, key)->value(), cutoff);
  };
  apply(erase_trace("tr-1", at(5)));
  apply(erase_trace("tr-1", at(3)));
  apply(erase_trace("tr-1", at(9)));
  EXPECT_FALSE(may_go(at(9)));
  EXPECT_TRUE(may_go(at(10)));
  EXPECT_FALSE(store_keys::tombstone_may_go(key, "", at(10)));  // an earlier version's
  EXPECT_FALSE(store_keys::tombstone_may_go(store_keys::trace_info("tr-1"), std::string(8, '\0'), at(10)));
}

TEST_F(StoreTest, WhatIsOlderThanTheRetentionGoesAsIfItHadBeenDeleted) {
  using namespace std::chrono_literals;
  StoreSink sink(kv_, clock_, nullptr, 24h);
  const auto apply_to = [&](Record record) {
    const auto read = log_.add(std::move(record), 0);
    ASSERT_TRUE(sink.apply({&read, 1}));
  };
  for (int i = 0; i < 600; ++i)
    apply_to(trace("tr-old-" + std::to_string(i), at(0), located(i % 2 ? "0" : "31", at(0) - 25h)));
  apply_to(trace("tr-new", at(0), located("31", at(0) - 23h)));
  apply_to(feedback("a-old", "tr-old-599", at(0), "n", "true"));
  apply_to(feedback("a-new", "tr-new", at(0), "n", "true"));
  EXPECT_NE(info("tr-old-599"), "none");
  clock_.set(at(60));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(sink.apply({}));  // no records come: it looks all the same
  for (const auto* old : {"tr-old-0", "tr-old-1", "tr-old-598", "tr-old-599"}) {
    EXPECT_EQ(info(old), "none");
    EXPECT_TRUE(*store_.deleted(old));
  }
  EXPECT_EQ(assessment("a-old"), "none");
  EXPECT_NE(info("tr-new"), "none");
  EXPECT_NE(assessment("a-new"), "none");
  clock_.set(at(0) + 2h);
  ASSERT_TRUE(sink.apply({}));
  EXPECT_EQ(info("tr-new"), "none");
}

TEST_F(StoreTest, WhatIsTooOldGoesThoughTheClockWasSetBack) {
  using namespace std::chrono_literals;
  StoreSink sink(kv_, clock_, nullptr, 24h);
  clock_.set(at(0) + 1h);
  ASSERT_TRUE(sink.apply({}));
  clock_.set(at(0));
  const auto old = log_.add(trace("tr-old", at(0), located("31", at(0) - 25h)), 0);
  ASSERT_TRUE(sink.apply({&old, 1}));
  clock_.set(at(60));
  ASSERT_TRUE(sink.apply({}));
  EXPECT_EQ(info("tr-old"), "none");
}

TEST_F(StoreTest, WhatNoExperimentHasAndWhatWasSaidOfUnknownTracesExpiresToo) {
  using namespace std::chrono_literals;
  StoreSink sink(kv_, clock_, nullptr, 24h);
  const auto apply_to = [&](Record record) {
    const auto read = log_.add(std::move(record), 0);
    ASSERT_TRUE(sink.apply({&read, 1}));
  };
  const auto begun = [](Instant time) { return R"("request_time":")" + format_time(time) + "\""; };
  apply_to(trace("tr-bare-old", at(0), begun(at(0) - 25h)));
  apply_to(trace("tr-bare-new", at(0), begun(at(0) - 23h)));
  apply_to(trace("tr-tag-old", at(0) - 26h, R"("tags":{"k":"1"})"));
  apply_to(trace("tr-tag-new", at(0) - 26h, R"("tags":{"k":"1"})"));
  apply_to(trace("tr-tag-new", at(0) - 1h, R"("tags":{"k":"2"})"));
  for (int i = 0; i < 600; ++i)
    apply_to(feedback("a-" + std::to_string(i), "tr-elsewhere-" + std::to_string(i / 2), at(0) - 25h,
                      i % 3 ? "b" : "n" + std::to_string(i), "true"));
  apply_to(feedback("a-again", "tr-elsewhere-0", at(0), "n", "true"));
  apply_to(feedback("a-new", "tr-elsewhere-new", at(0), "n", "true"));
  apply_to(update("a-held", "u-1", "tr-held", at(0) - 25h, R"("feedback":{"value":false})"));
  apply_to(trace("tr-late", at(0), located("31", at(0))));
  for (int i = 0; i < 600; ++i)  // said before their trace began: they hide nothing behind them
    apply_to(feedback("a-early-" + std::to_string(i), "tr-late", at(0) - 26h, "b", "true"));
  clock_.set(at(60));
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(sink.apply({}));
  for (const auto* old : {"tr-bare-old", "tr-tag-old", "tr-elsewhere-0", "tr-elsewhere-299", "tr-held"})
    EXPECT_TRUE(*store_.deleted(old)) << old;
  for (const auto* old : {"a-0", "a-1", "a-599", "a-again"}) EXPECT_EQ(assessment(old), "none") << old;
  EXPECT_EQ(store_.locate("a-held")->value().kind, Store::Located::Kind::deleted);
  for (const auto* kept : {"tr-bare-new", "tr-tag-new", "tr-late"}) EXPECT_NE(info(kept), "none") << kept;
  for (const auto* kept : {"a-new", "a-early-0", "a-early-599"}) EXPECT_NE(assessment(kept), "none") << kept;
}

TEST_F(StoreTest, AnUpdateBeforeItsCreateIsHeldAndThenFoldedIn) {
  apply(update("a-1", "u-1", "tr-1", at(5), R"("feedback":{"value":false})"));
  EXPECT_EQ(assessment("a-1"), "none");
  EXPECT_EQ(store_.locate("a-1")->value().kind, Store::Located::Kind::held);
  apply(feedback("a-1", "tr-1", at(0), "n", "true"));
  EXPECT_NE(assessment("a-1").find(R"("feedback":{"value":false})"), std::string::npos);
  EXPECT_EQ(sink_.ledger(), (SinkLedger{.read = 2, .applied = 1, .held = 1}));
}

TEST_F(StoreTest, AChangeOfAnotherKindThanTheAssessmentSaysNothing) {
  apply(update("a-1", "u-1", "tr-1", at(1), R"("expectation":{"value":"x"},"rationale":"r")"));
  apply(feedback("a-1", "tr-1", at(0), "n", "true"));
  EXPECT_EQ(assessment("a-1"),
            R"({"assessment_id":"a-1","assessment_name":"n","trace_id":"tr-1","source":{"source_type":"HUMAN"},)"
            R"("feedback":{"value":true},"rationale":"r","valid":true})");
}

TEST_F(StoreTest, AssessmentsComeAsTheyWereMadeAndThoseOfOneRequestInItsOrder) {
  for (const auto* id : {"a-3", "a-1", "a-2"}) apply(feedback(id, "tr-1", at(0), "n", "true"));
  apply(feedback("a-4", "tr-1", at(9), "old", "true", R"(,"create_time":")" + format_time(at(-60)) + "\""));
  std::string ids;
  for (const auto& one : *store_.assessments_of("tr-1")) ids += one.id + " ";
  EXPECT_EQ(ids, "a-4 a-3 a-1 a-2 ");
}

TEST_F(StoreTest, SpansOfTwoExperimentsStayInTheFirstOnes) {
  const auto spans = [](const std::string& experiment, int accepted) {
    return to_record(TraceRecord{.from_spans = true,
                                 .trace_id = "tr-1",
                                 .accepted_at = at(accepted),
                                 .info = R"({"trace_id":"tr-1",)" + located(experiment, at(0)) + "}",
                                 .spans = R"([{"span_id":"s)" + experiment + R"("}])"});
  };
  apply(spans("2", 5));
  EXPECT_EQ(store_.trace("tr-1")->value().experiment_id(), "2");
  apply(spans("1", 4));
  apply(spans("3", 6));
  EXPECT_EQ(store_.trace("tr-1")->value().experiment_id(), "1");
  apply(trace("tr-1", at(1), located("7", at(0))));
  EXPECT_EQ(store_.trace("tr-1")->value().experiment_id(), "7");
}

TEST_F(StoreTest, ATraceSaysWhereItsSpansAreOnceThereAreAny) {
  apply(trace("tr-1", at(1), located("1", at(1))));
  EXPECT_EQ(info("tr-1").find("spansLocation"), std::string::npos);
  apply(trace("tr-1", at(2), R"("state":"OK")", R"([{"span_id":"s1"}])"));
  EXPECT_NE(info("tr-1").find(R"("mlflow.trace.spansLocation":"TRACKING_STORE")"), std::string::npos);
}

TEST_F(StoreTest, AUsersOwnTagOfTheFeedbacksNameIsLeft) {
  apply(trace("tr-1", at(1), located("1", at(1)) + R"(,"tags":{"assay.feedback":"mine"})"));
  apply(feedback("a-1", "tr-1", at(2), "n", "true"));
  EXPECT_NE(info("tr-1").find(R"("assay.feedback":"mine")"), std::string::npos);
  EXPECT_EQ(info("tr-1").find("n=true"), std::string::npos);
}

TEST_F(StoreTest, ADeleteEndsAnAssessmentWhateverComesLater) {
  apply(erase("a-1", "d-1", "tr-1", at(5)));
  apply(feedback("a-1", "tr-1", at(6), "n", "true"));
  apply(update("a-1", "u-1", "tr-1", at(7), R"("feedback":{"value":false})"));
  EXPECT_EQ(assessment("a-1"), "none");
  EXPECT_EQ(store_.locate("a-1")->value().kind, Store::Located::Kind::deleted);
}

TEST_F(StoreTest, AnOverrideMarksTheOldOneAndItsDeletionRestoresIt) {
  apply(feedback("a-1", "tr-1", at(0), "judge", "0.1"));
  apply(feedback("a-2", "tr-1", at(1), "judge", "0.9", R"(,"overrides":"a-1")"));
  EXPECT_NE(assessment("a-1").find(R"("valid":false)"), std::string::npos);
  EXPECT_NE(assessment("a-2").find(R"("valid":true)"), std::string::npos);
  apply(erase("a-2", "d-2", "tr-1", at(2)));
  EXPECT_NE(assessment("a-1").find(R"("valid":true)"), std::string::npos);
}

TEST_F(StoreTest, ATraceHasItsAssessmentsAndTheTagOfTheirLastValues) {
  apply(feedback("a-1", "tr-1", at(0), "user_feedback", "true"));
  apply(trace("tr-1", at(1), located("1", at(1)) + R"(,"state":"OK","tags":{"k":"v"})"));
  apply(feedback("a-2", "tr-1", at(2), "user_feedback", "false"));
  apply(feedback("a-3", "tr-1", at(3), "user_accuracy", "0.8"));
  apply(feedback("a-4", "tr-1", at(4), "note", R"("a,b")"));
  const auto json = info("tr-1");
  EXPECT_NE(json.find(R"x("tags":{"k":"v","assay.feedback":"note=\"a,b\",user_accuracy=0.8,user_feedback=false")x"),
            std::string::npos)
      << json;
  EXPECT_LT(json.find("\"a-1\""), json.find("\"a-3\""));
}

TEST_F(StoreTest, TheLastValueOfANameIsTheOneThatSaysItWasUpdatedLast) {
  const auto updated = [](int seconds) { return R"(,"last_update_time":")" + format_time(at(seconds)) + "\""; };
  apply(trace("tr-1", at(0), located("1", at(0))));
  apply(feedback("a-1", "tr-1", at(1), "judge", "1", updated(1)));
  apply(feedback("a-2", "tr-1", at(2), "judge", "2", updated(-5)));
  EXPECT_NE(info("tr-1").find(R"("assay.feedback":"judge=1.0")"), std::string::npos);
  apply(update("a-2", "u-2", "tr-1", at(3), R"("rationale":"because")" + updated(3)));
  EXPECT_NE(info("tr-1").find(R"("assay.feedback":"judge=2.0")"), std::string::npos);
}

TEST_F(StoreTest, TheEndOfATraceIsNotTakenBackByALatePlaceholder) {
  const auto placeholder = R"(,"state":"IN_PROGRESS","request_preview":"early","trace_metadata":{"m":"early","n":"1"})";
  const auto final = R"(,"state":"OK","request_preview":"end","trace_metadata":{"m":"end"},"tags":{"t":"end"})";
  apply(trace("tr-1", at(1), located("1", at(1)) + final));
  apply(trace("tr-1", at(2), located("1", at(1)) + placeholder));
  EXPECT_EQ(
      info("tr-1"),
      R"({"trace_id":"tr-1","trace_location":{"type":"MLFLOW_EXPERIMENT","mlflow_experiment":{"experiment_id":"1"}},)"
      R"("request_time":"2026-11-23T15:57:32.547Z","state":"OK","trace_metadata":{"m":"end","n":"1"},"tags":{"t":"end",)"
      R"("mlflow.artifactLocation":"mlflow-artifacts:/1/traces/tr-1/artifacts"},)"
      R"("request_preview":"end"})");
}

TEST_F(StoreTest, SpansMergeByIdAndAnEndedOneStays) {
  apply(trace("tr-1", at(1), located("1", at(1)), R"([{"span_id":"s1","end_time_unix_nano":5,"name":"root"}])"));
  apply(trace("tr-1", at(2), R"("state":"OK")",
              R"([{"span_id":"s1","end_time_unix_nano":null,"name":"root"},{"span_id":"s2"}])"));
  EXPECT_EQ(*store_.spans("tr-1"), R"([{"span_id":"s1","end_time_unix_nano":5,"name":"root"},{"span_id":"s2"}])");
}

TEST_F(StoreTest, DeletingATraceTakesItsAssessmentsAndWhatComesLater) {
  apply(feedback("a-1", "tr-1", at(0), "n", "true"));
  apply(update("a-2", "u-2", "tr-1", at(0), R"("rationale":"x")"));
  apply(trace("tr-1", at(1), located("1", at(1)), R"([{"span_id":"s1"}])"));
  apply(erase_trace("tr-1", at(2)));
  apply(feedback("a-3", "tr-1", at(3), "n", "true"));
  apply(feedback("a-2", "tr-1", at(3), "n", "true"));
  apply(trace("tr-1", at(3), located("1", at(1))));
  EXPECT_EQ(info("tr-1"), "none");
  for (const auto id : {"a-1", "a-2", "a-3"}) EXPECT_EQ(assessment(id), "none") << id;
  EXPECT_EQ(*store_.spans("tr-1"), "[]");
  StoreSink reopened(kv_, clock_);
  ASSERT_TRUE(reopened.position({Stream::assessments, 0}));
  const auto late = log_.add(feedback("a-4", "tr-1", at(4), "n", "true"));
  ASSERT_TRUE(reopened.apply({&late, 1}));
  EXPECT_EQ(assessment("a-4"), "none");
}

TEST_F(StoreTest, IsSearchedByExperimentAndTime) {
  apply(trace("tr-1", at(0), located("7", at(10)) + R"(,"client_request_id":"req-1")"));
  apply(trace("tr-2", at(0), located("7", at(20)) + R"(,"client_request_id":"req-1")"));
  apply(trace("tr-3", at(0), located("8", at(10))));
  std::vector<std::string> found;
  ASSERT_TRUE(store_.traces_of_experiment("7", at(10), at(20), [&](std::string_view id, Instant time) {
    EXPECT_EQ(time, at(10));
    found.emplace_back(id);
    return true;
  }));
  EXPECT_EQ(found, (std::vector<std::string>{"tr-1"}));
}

TEST_F(StoreTest, APoisonRecordIsADeadLetterAndTheRestOfItsBatchIsApplied) {
  std::vector<LogRecord> batch;
  for (auto value : {std::string("\xff"), R"({"v":1,"op":"create","assessment":{"trace_id":"t","assessment_id":"a",)"
                                          R"("assessment_name":"n","feedback":{"value":tru}},)"
                                          R"("accepted_at":"2026-11-23T15:57:31Z"})" +
                                              std::string()})
    batch.push_back(log_.add({.stream = Stream::assessments, .key = "t", .value = value}));
  batch.push_back(log_.add(feedback("a-1", "tr-1", at(0), "n", "true")));
  batch.push_back(log_.add({.stream = Stream::traces, .key = "t", .value = "{}"}));
  ASSERT_TRUE(sink_.apply(batch));
  EXPECT_NE(assessment("a-1"), "none");
  EXPECT_EQ(sink_.ledger(), (SinkLedger{.read = 3, .applied = 1, .dead = 2}));
  const auto dead = kv_.get(Family::dead, "assessments/0/1");
  ASSERT_TRUE(dead->has_value());
  const auto letter = parse_dead_letter(**dead);
  ASSERT_TRUE(letter);
  EXPECT_EQ(letter->step, "store");
  EXPECT_EQ(letter->detail, "item is not valid JSON");
  EXPECT_TRUE(kv_.get(Family::dead, "traces/0/0")->has_value());
}

TEST_F(StoreTest, PositionsAndLedgersAreKeptWithTheEffects) {
  apply(feedback("a-1", "tr-1", at(0), "n", "true"), 3);
  StoreSink reopened(kv_, clock_);
  EXPECT_EQ(*reopened.position({Stream::assessments, 3}), 1);
  EXPECT_EQ(*reopened.position({Stream::assessments, 0}), 0);
  EXPECT_EQ(reopened.ledger(3), (SinkLedger{.read = 1, .applied = 1}));
}

const std::string chain = R"({"span_id":"c","parent_span_id":"a"})";

TEST_F(StoreTest, WhatSpansUsedIsTheirTracesSumWhereNobodySaidIt) {
  const auto said = [&] { return store_.trace("tr-1")->value().text_at("trace_metadata.mlflow.trace.tokenUsage"); };
  const auto cost = [&] { return store_.trace("tr-1")->value().text_at("trace_metadata.mlflow.trace.cost"); };
  const auto add = [&](const std::string& spans) {
    apply(trace("tr-1", at(0), located("7", at(0)), "[" + spans + "]"));
  };
  add(chain);
  EXPECT_FALSE(said());
  add(span_that_used("b", "c", "3"));
  add(span_that_used("d", "c", "4", R"(, \"cache_read_input_tokens\": 9, \"output_tokens\": \"x\")"));
  add(span_that_used("d", "c", "4", R"(, \"cache_read_input_tokens\": 9, \"output_tokens\": \"x\")"));
  EXPECT_EQ(said(), R"({"input_tokens": 7, "output_tokens": 0, "total_tokens": 7, "cache_read_input_tokens": 9})");
  add(span_that_used("a", "", "5"));  // counts for all below it, also where something is in between
  EXPECT_EQ(said(), R"({"input_tokens": 5, "output_tokens": 0, "total_tokens": 5})");
  add(span_that_used("e", "e", "1"));  // in no tree
  EXPECT_EQ(said(), R"({"input_tokens": 5, "output_tokens": 0, "total_tokens": 5})");
  EXPECT_FALSE(cost());
  add(R"({"span_id":"f","attributes":{"mlflow.llm.cost":"\"{\\\"input_cost\\\": 0.1}\""}},)"
      R"({"span_id":"g","attributes":{"mlflow.llm.cost":"{\"input_cost\": 0.2, \"total_cost\": 1}"}})");
  EXPECT_EQ(cost(), R"({"input_cost": 0.30000000000000004, "output_cost": 0.0, "total_cost": 1.0})");
  apply(trace("tr-1", at(1), R"("state":"OK","trace_metadata":{"mlflow.trace.tokenUsage":"{\"input_tokens\": 1}"})"));
  EXPECT_EQ(said(), R"({"input_tokens": 1})");
  add(span_that_used("h", "", "5"));
  EXPECT_EQ(said(), R"({"input_tokens": 1})");
}

TEST_F(StoreTest, TheSumOfATracesSpansIsMadeOfTheirUsageAndNotOfTheirWholeJson) {
  const auto said = [&] { return store_.trace("tr-1")->value().text_at("trace_metadata.mlflow.trace.tokenUsage"); };
  const auto add = [&](const std::string& span) { apply(trace("tr-1", at(0), located("7", at(0)), "[" + span + "]")); };
  add(span_that_used("a", "", "3"));
  add(R"({"span_id":"b","parent_span_id":"a"})");
  Changes unreadable;  // nobody reads it
  unreadable.put(Family::traces, store_keys::span("tr-1", "a"), "no row");
  ASSERT_TRUE(kv_.write(unreadable));
  add(span_that_used("c", "b", "4"));
  EXPECT_EQ(said(), R"({"input_tokens": 3, "output_tokens": 0, "total_tokens": 3})");
  add(R"({"span_id":"d"})");
  add(span_that_used("e", "d", "1"));
  EXPECT_EQ(said(), R"({"input_tokens": 4, "output_tokens": 0, "total_tokens": 4})");
}

TEST(TraceUsage, StandsOnDiskAsItIsDescribed) {
  using namespace std::string_literals;
  const SpanUsage usage{.span_id = "s", .parent_id = "a", .tokens = "{}"};
  EXPECT_EQ(usage.encode(), "\1\0\0\0\1a\0\0\0\2{}\0\0\0\0"s);
  EXPECT_EQ(SpanUsage::decode("s", usage.encode())->tokens, "{}");
  EXPECT_EQ((SpanTally{.count = 2, .bytes = 5}).encode(), "\1\0\0\0\2\0\0\0\0\0\0\0\5"s);
  EXPECT_EQ(store_keys::usage("tr-1", "s"), "tr-1\0us"s);
  EXPECT_EQ(store_keys::span_tally("tr-1"), "tr-1\0n"s);
}

TEST_F(StoreTest, WhatAnEarlierVersionKeptOfSpansIsCountedWhenTheNextComes) {
  const auto said = [&] { return store_.trace("tr-1")->value().text_at("trace_metadata.mlflow.trace.tokenUsage"); };
  const auto add = [&](const std::string& span) { apply(trace("tr-1", at(0), located("7", at(0)), "[" + span + "]")); };
  add(span_that_used("a", "", "3"));
  add(R"({"span_id":"b","parent_span_id":"a"})");
  Changes earlier;
  earlier.erase(Family::traces, store_keys::span_tally("tr-1"));
  for (const auto* id : {"a", "b"}) earlier.erase(Family::traces, store_keys::usage("tr-1", id));
  ASSERT_TRUE(kv_.write(earlier));
  add(span_that_used("c", "b", "4"));
  EXPECT_EQ(said(), R"({"input_tokens": 3, "output_tokens": 0, "total_tokens": 3})");
  EXPECT_EQ(SpanTally::decode(**kv_.get(Family::traces, store_keys::span_tally("tr-1")))->count, 3u);
  EXPECT_TRUE(*kv_.get(Family::traces, store_keys::usage("tr-1", "b")));
}

TEST_F(StoreTest, ATraceTakesSoManySpansAndWhatIsOneTooManyIsADeadLetter) {
  std::string spans;
  for (std::uint32_t i = 0; i < trace_spans_max; ++i)
    spans += (i ? "," : "[") + (R"({"span_id":")" + std::to_string(i)) + "\"}";
  apply(trace("tr-1", at(0), located("7", at(0)), spans + "]"));
  apply(trace("tr-1", at(1), R"("state":"OK")", R"([{"span_id":"0","name":"said again"}])"));
  apply(trace("tr-1", at(2), R"("state":"ERROR")", R"([{"span_id":"one more"}])"));
  EXPECT_EQ(store_.trace("tr-1")->value().text_at("state"), "OK");
  std::string dead;
  ASSERT_TRUE(kv_.scan(Family::dead, "", "", [&](std::string_view, std::string_view value) {
    dead += value;
    return true;
  }));
  EXPECT_NE(dead.find("a trace holds at most 20000 spans"), std::string::npos) << dead;
  apply(erase_trace("tr-1", at(3)));
  EXPECT_FALSE(*kv_.get(Family::traces, store_keys::span_tally("tr-1")));
  EXPECT_FALSE(*kv_.get(Family::traces, store_keys::usage("tr-1", "7")));
}

}  // namespace
}  // namespace assay
