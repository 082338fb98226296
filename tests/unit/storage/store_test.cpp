#include "tests/unit/storage/store_fixture.hpp"

namespace assay {
namespace {

using namespace testing_records;

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

// A door that can't read the assessment merges any number of changes into it.
TEST_F(StoreTest, AChangeTooManyIsADeadLetterAndWhatWasSaidBeforeStays) {
  std::string metadata;
  for (std::size_t i = 0; i < assessment_changes_max; ++i)
    metadata += (i ? R"(,"k)" : R"("k)") + std::to_string(i) + R"(":"v")";
  apply(feedback("a-1", "tr-1", at(0), "n", "true"));
  apply(update("a-1", "c-1", "tr-1", at(1), R"("metadata":{)" + metadata + "}"));
  const auto before = assessment("a-1");
  apply(update("a-1", "c-2", "tr-1", at(2), R"("rationale":"one more","metadata":{"more":"v"})"));
  EXPECT_EQ(assessment("a-1"), before);
  apply(update("a-1", "c-3", "tr-1", at(3), R"("metadata":{"k0":"again"})"));
  EXPECT_NE(assessment("a-1").find(R"("k0":"again")"), std::string::npos);
  EXPECT_EQ(sink_.ledger().dead, 1u);
}

TEST_F(StoreTest, PositionsAndLedgersAreKeptWithTheEffects) {
  apply(feedback("a-1", "tr-1", at(0), "n", "true"), 3);
  StoreSink reopened(kv_, clock_);
  EXPECT_EQ(*reopened.position({Stream::assessments, 3}), 1);
  EXPECT_EQ(*reopened.position({Stream::assessments, 0}), 0);
  EXPECT_EQ(reopened.ledger(3), (SinkLedger{.read = 1, .applied = 1}));
}

}  // namespace
}  // namespace assay
