#include "ingest/mlflow/trace_request.hpp"

#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>

namespace assay {
namespace {

const Instant now = *parse_time("2026-11-23T15:57:31.547Z");

std::string trace(std::string_view info) { return R"({"trace":{"trace_info":)" + std::string(info) + "}}"; }

TEST(TraceRequest, KeepsWhatIsKnownAndIgnoresTheRest) {
  const auto read = parse_trace_request(
      trace(R"({"trace_id":"tr-1","client_request_id":"req-1","trace_location":{"type":"MLFLOW_EXPERIMENT",
        "mlflow_experiment":{"experiment_id":"1"}},"request_time":"2026-11-23T15:57:21.321Z","state":"OK",
        "tags":{"mlflow.traceName":"root"},"trace_metadata":{"someKey":"v"},"new_field":[1]})"),
      now);
  ASSERT_TRUE(read) << read.error().reason;
  EXPECT_EQ(read->trace_id, "tr-1");
  EXPECT_EQ(read->client_request_id, "req-1");
  EXPECT_FALSE(read->info.contains("new_field"));
  EXPECT_EQ(read->info.at("trace_metadata").at("someKey").as_string(), "v");
}

TEST(TraceRequest, ReadsCamelCaseButLeavesTheKeysOfMaps) {
  const auto read = parse_trace_request(
      trace(R"({"traceId":"tr-1","traceLocation":{"mlflowExperiment":{"experimentId":"7"}},"tags":{"camelKey":"x"}})"),
      now);
  ASSERT_TRUE(read) << read.error().reason;
  EXPECT_EQ(read->info.at("trace_location").at("mlflow_experiment").at("experiment_id").as_string(), "7");
  EXPECT_TRUE(read->info.at("tags").as_object().contains("camelKey"));
}

TEST(TraceRequest, GivesARepeatedAssessmentTheSameIdAndAnotherTraceAnother) {
  const auto body = trace(R"({"trace_id":"tr-1","assessments":[{"assessment_name":"a","source":{"source_type":"HUMAN"},
    "feedback":{"value":true}}]})");
  const auto first = parse_trace_request(body, now), again = parse_trace_request(body, now + std::chrono::seconds(9));
  ASSERT_TRUE(first && again);
  EXPECT_EQ(first->assessments.at(0).record.items.at(0).assessment_id,
            again->assessments.at(0).record.items.at(0).assessment_id);
  EXPECT_EQ(first->assessments.at(0).record.body_hash, again->assessments.at(0).record.body_hash);
  const std::string_view one = R"({"assessment":{"assessment_name":"a","feedback":{"value":1}}})";
  EXPECT_NE(parse_assessment_request(one, "tr-1", now)->record.items.at(0).assessment_id,
            parse_assessment_request(one, "tr-2", now)->record.items.at(0).assessment_id);
}

TEST(TraceRequest, RefusesWhatIsNotATraceAndNamesTheField) {
  const std::pair<std::string, std::string> bad[] = {
      {"", ""},
      {"[]", ""},
      {"{}", ""},
      {"{\"trace\":{}}", "trace.trace_info"},
      {trace("{}"), "trace_id"},
      {trace(R"({"trace_id":""})"), "trace_id"},
      {trace(R"({"trace_id":7})"), "trace_id"},
      {trace("{\"trace_id\":\"\xff\"}"), ""},
      {trace(R"({"trace_id":"t","tags":{"a":1}})"), "tags"},
      {trace(R"({"trace_id":"t","state":"FINE"})"), "state"},
      {trace(R"({"trace_id":"t","request_time":"yesterday"})"), "request_time"},
      {trace(R"({"trace_id":"t","assessments":[{"assessment_name":"a"}]})"), ""},
      {trace(R"({"trace_id":"t","x":)" + std::string(100, '[') + std::string(100, ']') + "}"), ""},
  };
  for (const auto& [body, field] : bad) {
    const auto read = parse_trace_request(body, now);
    ASSERT_FALSE(read) << body;
    EXPECT_EQ(read.error().status, 400u) << body;
    EXPECT_EQ(read.error().field, field) << body;
  }
}

}  // namespace
}  // namespace assay
