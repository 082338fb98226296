#include "storage/sinks/mlflow_columns.hpp"

#include <gtest/gtest.h>

#include "storage/records/python_text.hpp"
#include "storage/sinks/concurrency_limit.hpp"
#include "storage/sinks/rate_limiter.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;

TEST(PythonJson, FloatsAreLaidOutAsReprDoes) {
  EXPECT_EQ(python_float(5), "5.0");
  EXPECT_EQ(python_float(-0.8), "-0.8");
  EXPECT_EQ(python_float(100000), "100000.0");
  EXPECT_EQ(python_float(1e15), "1000000000000000.0");
  EXPECT_EQ(python_float(1e16), "1e+16");
  EXPECT_EQ(python_float(1.25e-5), "1.25e-05");
  EXPECT_EQ(python_float(0.0001), "0.0001");
  EXPECT_EQ(python_float(1e-100), "1e-100");
  EXPECT_EQ(python_float(123456.75), "123456.75");
  EXPECT_EQ(python_float(0), "0.0");
}

TEST(PythonJson, TextsAreEscapedAsDumpsDoes) {
  simdjson::dom::parser parser;
  std::string out, plain;
  const simdjson::dom::element value =
      parser.parse(std::string(R"({"é":["🐎\u007f\u0001\"/",1,-2.5,null,true,{}]})")).value();
  append_python_json(out, value);
  EXPECT_EQ(out, R"({"\u00e9": ["\ud83d\udc0e\u007f\u0001\"/", 1, -2.5, null, true, {}]})");
  append_python_json(plain, value, {.doubles = true, .ascii = false});
  EXPECT_EQ(plain, "{\"é\": [\"🐎\x7f\\u0001\\\"/\", 1.0, -2.5, null, true, {}]}");
}

TEST(MlflowColumns, AnAssessmentFillsWhatItsSearchesLookAt) {
  const auto columns = [](const std::string& value) {
    return *mlflow::assessment_columns(
        R"({"assessment_id":"a-1","assessment_name":"n","feedback":{"value":)" + value + "}}", "tr-1", Instant(5ms));
  };
  EXPECT_EQ(columns("true").aggregate, 1.0);
  EXPECT_FALSE(columns("true").is_numeric);
  EXPECT_EQ(columns("4").value, "4.0");
  EXPECT_TRUE(columns("4").is_numeric);
  EXPECT_EQ(columns(R"(" No\n")").aggregate, 0.0);
  EXPECT_EQ(columns(R"("maybe")").aggregate, std::nullopt);
  EXPECT_EQ(columns("null").created_ms, 5);
}

TEST(MlflowColumns, AnExpectationOverridesNothingAndGivesNoReason) {
  const std::string words = R"(,"overrides":"a-0","rationale":"because"})";
  const auto columns = [&](const std::string& said) {
    return *mlflow::assessment_columns(R"({"assessment_id":"a-1","assessment_name":"n",)" + said + words, "tr-1",
                                       Instant());
  };
  EXPECT_EQ(columns(R"("expectation":{"value":1})").overrides, std::nullopt);
  EXPECT_EQ(columns(R"("expectation":{"value":1})").rationale, std::nullopt);
  EXPECT_EQ(columns(R"("feedback":{"value":1})").overrides, "a-0");
  EXPECT_EQ(columns(R"("feedback":{"value":1})").rationale, "because");
}

// One that is null makes its trace, and each page of a search that has it, unreadable to MLflow.
TEST(MlflowColumns, AnExpectationIsWhatPythonReadsAndNeverNull) {
  const auto columns = [&](const std::string& text) {
    return mlflow::assessment_columns(
        R"({"assessment_id":"a-1","assessment_name":"n","expectation":{"serialized_value":{"value":")" + text +
            R"("}}})",
        "tr-1", Instant());
  };
  EXPECT_EQ(columns("[NaN, 1180591620717411303424]")->value, "[NaN, 1180591620717411303424]");
  EXPECT_EQ(columns("[1,2]")->value, "[1, 2]");
  EXPECT_FALSE(columns("null"));
  EXPECT_FALSE(columns("no JSON"));
  auto row = *columns("[1,2]");
  EXPECT_FALSE(mlflow::apply_change(row, "expectation", R"({"value":null})"));
  EXPECT_EQ(row.value, "[1, 2]");
}

TEST(MlflowColumns, ASpansNameIsText) {
  const auto span = mlflow::span_columns(R"({"span_id":"0102030405060708","name":"a\u0000b"})");
  ASSERT_TRUE(span);
  EXPECT_EQ(span->name, "ab");
}

TEST(MlflowColumns, TheRunThatAnAssessmentComesFromIsThatOfItsCreate) {
  const auto columns = [](const std::string& run) {
    return *mlflow::assessment_columns(R"({"assessment_id":"a-1","assessment_name":"n","feedback":{"value":1},)"
                                       R"("metadata":{"mlflow.assessment.sourceRunId":")" +
                                           run + "\"}}",
                                       "tr-1", Instant());
  };
  auto row = columns(std::string(32, 'r'));
  EXPECT_EQ(row.run_id, std::string(32, 'r'));
  EXPECT_TRUE(mlflow::apply_change(row, "metadata.mlflow.assessment.sourceRunId", R"("other")"));
  EXPECT_EQ(row.run_id, std::string(32, 'r'));
  EXPECT_EQ(columns(std::string(33, 'r')).run_id, std::nullopt);
}

TEST(MlflowColumns, WhatATableCannotHoldIsNamed) {
  const auto problem = mlflow::assessment_columns(
      R"({"assessment_id":"a-1","assessment_name":")" + std::string(251, 'n') + R"(","feedback":{"value":1}})", "tr-1",
      Instant());
  ASSERT_FALSE(problem);
  EXPECT_EQ(problem.error().reason, "assessment_name is longer than the 250 characters that MLflow's table takes");
}

TEST(MlflowColumns, ChangesMergeAsMlflowMergesThem) {
  auto row = *mlflow::assessment_columns(
      R"({"assessment_id":"a-1","assessment_name":"n","feedback":{"value":1},"metadata":{"a":"1","b":"2"}})", "tr-1",
      Instant());
  EXPECT_TRUE(mlflow::apply_change(row, "metadata.b", R"("3")"));
  EXPECT_TRUE(mlflow::apply_change(row, "metadata.a", "null"));
  EXPECT_TRUE(mlflow::apply_change(row, "feedback", R"({"value":"yes"})"));
  EXPECT_FALSE(mlflow::apply_change(row, "expectation", R"({"value":"yes"})"));
  EXPECT_EQ(row.metadata, R"({"b": "3"})");
  EXPECT_EQ(row.value, R"("yes")");
  EXPECT_EQ(row.aggregate, 1.0);
}

TEST(MlflowColumns, ATracesPromotedMetadataAreColumns) {
  const auto row = *mlflow::trace_columns(
      R"({"trace_id":"tr-1","trace_location":{"type":"MLFLOW_EXPERIMENT","mlflow_experiment":{"experiment_id":"7"}},)"
      R"("request_time":"1970-01-01T00:00:01Z","execution_duration":"0.048s","state":"OK","client_request_id":")" +
          std::string(51, 'r') +
          R"(","trace_metadata":{"mlflow.trace.session":"s","mlflow.trace.tokenUsage":"{\"input_tokens\": 3}"},)"
          R"("tags":{"mlflow.traceName":"chat","k":"v"}})",
      {}, Instant());
  EXPECT_EQ(row.experiment, mlflow::ExperimentRef{"7"});
  EXPECT_EQ(row.timestamp_ms, 1000);
  EXPECT_EQ(row.duration_ms, 48);
  EXPECT_EQ(row.session, "s");
  EXPECT_EQ(row.tokens[0], 3);
  EXPECT_EQ(row.name, "chat");
  EXPECT_EQ(row.client_request_id, std::nullopt);
  EXPECT_EQ(row.metadata.at("assay.client_request_id").size(), 51u);
  EXPECT_EQ(row.metadata.count("mlflow.trace.session"), 0u);
  EXPECT_EQ(row.tags, (std::map<std::string, std::string>{{"k", "v"}}));
}

TEST(MlflowColumns, TheExperimentThatATraceNamesWinsOverItsId) {
  const auto row = *mlflow::trace_columns(
      R"({"trace_id":"tr-1","trace_location":{"type":"MLFLOW_EXPERIMENT","mlflow_experiment":{"experiment_id":"7"}},)"
      R"("trace_metadata":{"assay.experiment":"2026"}})",
      {}, Instant());
  EXPECT_EQ(row.experiment, (mlflow::ExperimentRef{"2026", true}));
}

TEST(MlflowColumns, ATraceThatHasEndedNeedsNoLocation) {
  const auto located = [](const char* fields) {
    return mlflow::trace_columns(R"({"trace_id":"tr-1")" + std::string(fields) + "}", {}, Instant())->located;
  };
  EXPECT_TRUE(located(R"(,"state":"OK")"));
  EXPECT_FALSE(located(R"(,"state":"IN_PROGRESS")"));
  EXPECT_FALSE(located(R"(,"tags":{"k":"v"})"));
}

TEST(MlflowColumns, ASpansIdsAreHexAndItsTypeIsRead) {
  const auto row = *mlflow::span_columns(
      R"({"span_id":"ASNFZ4mrze8=","parent_span_id":"ASNFZ4mrze8=","name":"s","start_time_unix_nano":5,)"
      R"("end_time_unix_nano":null,"status":{"code":"STATUS_CODE_OK"},"attributes":{"mlflow.spanType":"\"LLM\""}})");
  EXPECT_EQ(row.span_id, "0123456789abcdef");
  EXPECT_EQ(row.parent_span_id, "0123456789abcdef");
  EXPECT_EQ(row.type, "LLM");
  EXPECT_EQ(row.status, "OK");
  EXPECT_FALSE(row.end_ns);
}

TEST(MlflowColumns, ASpansIdInBase64EndsWhereSomethingElseBegins) {
  const auto id = [](const std::string& said) {
    const auto row = mlflow::span_columns(R"({"span_id":")" + said + R"("})");
    return row ? row->span_id : row.error().reason;
  };
  EXPECT_EQ(id("0123456789abcdef"), "0123456789abcdef") << "it is hex";
  EXPECT_EQ(id("ASNFZ4mrze8"), "0123456789abcdef") << "without padding";
  EXPECT_EQ(id("+/8="), "fbff");
  EXPECT_EQ(id("-_8="), "fbff") << "the URL's alphabet";
  EXPECT_EQ(id("ASNF.Z4mr"), "012345");
  EXPECT_EQ(id("ASNFZ"), "012345") << "what is no whole byte";
  EXPECT_EQ(id("="), "a span has no span_id");
}

TEST(ConcurrencyLimit, GrowsWhileAnswersAreQuickAndIsCutOnceARound) {
  ConcurrencyLimit limit(16);
  for (int i = 0; i < 400; ++i) limit.answered(10ms);
  EXPECT_EQ(limit.current(), 16u);
  limit.overloaded();
  EXPECT_EQ(limit.current(), 11u);
  for (int i = 0; i < 10; ++i) limit.overloaded();  // those that were in flight
  EXPECT_EQ(limit.current(), 11u);
  for (int i = 0; i < 1000; ++i) limit.answered(2s);
  EXPECT_EQ(limit.current(), 1u);
}

TEST(RateLimiter, LetsASecondsWorthGoAtOnceAndThenSpreads) {
  RateLimiter limiter(10);
  const auto now = std::chrono::steady_clock::time_point(1h);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(limiter.take(now), now);
  EXPECT_EQ(limiter.take(now), now + 100ms);
  EXPECT_EQ(limiter.take(now), now + 200ms);
}

}  // namespace
}  // namespace assay
