#include "ingest/mlflow/trace_request.hpp"

#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>

#include "storage/store/trace_row.hpp"

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
      trace(
          R"({"traceId":"tr-1","traceLocation":{"type":"MLFLOW_EXPERIMENT","mlflowExperiment":{"experimentId":"7"}},"tags":{"camelKey":"x"}})"),
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

TEST(TraceRequest, WhatSaysNoTimeIsAnotherAssessmentEachTimeAndARepeatOfTheClientIsNone) {
  const auto id = [](std::string_view more, std::string_view unlike) {
    const auto body = R"({"assessment":{"assessment_name":"a","feedback":{"value":1})" + std::string(more) + "}}";
    return parse_assessment_request(body, "tr-1", now, {.unlike = std::string(unlike)})
        ->record.items.at(0)
        .assessment_id;
  };
  EXPECT_NE(id("", "1"), id("", "2"));
  EXPECT_EQ(id("", "1"), id("", "1"));
  const auto timed = R"(,"create_time":"2026-11-23T15:57:31.547Z")";
  EXPECT_EQ(id(timed, "1"), id(timed, "2"));
  EXPECT_EQ(id(R"(,"assessment_id":"a-1")", "1"), "a-1");
}

TEST(TraceRequest, UnderAKeyItIsTheSameAssessmentWhateverItSays) {
  const auto read = [](std::string_view value, std::string_view time, std::string_view key,
                       std::string_view name = "a") {
    const auto body = R"({"assessment":{"assessment_name":")" + std::string(name) + R"(","feedback":{"value":)" +
                      std::string(value) + R"(},"create_time":"2026-11-23T15:57:31.)" + std::string(time) + R"(Z"}})";
    return parse_assessment_request(body, "tr-1", now, {.key = std::string(key)})->record;
  };
  const auto id = [](const FeedbackRecord& record) { return record.items.at(0).assessment_id; };
  const auto first = read("1", "547", "k1"), again = read("1", "901", "k1"), other = read("2", "547", "k1");
  EXPECT_EQ(id(first), id(again));
  EXPECT_EQ(first.body_hash, again.body_hash) << "who repeats it may stamp each try";
  EXPECT_EQ(id(first), id(other));
  EXPECT_NE(first.body_hash, other.body_hash) << "a conflict";
  EXPECT_NE(id(first), id(read("1", "547", "k2")));
  EXPECT_NE(id(first), id(read("1", "547", "k1", "b"))) << "as on the other doors";
}

TEST(TraceRequest, TimesAreInUtcAndOutsideOfTheYears1To9999TheyAreNone) {
  const auto requested = [](std::string_view time) -> std::string {
    const auto read =
        parse_trace_request(trace(R"({"trace_id":"t","request_time":")" + std::string(time) + "\"}"), now);
    return read ? read->info.at("request_time").get_string().c_str() : read.error().field;
  };
  EXPECT_EQ(requested("2026-11-28T18:00:00+05:30"), "2026-11-28T12:30:00Z");
  EXPECT_EQ(requested("2026-11-28t18:00:00.5z"), "2026-11-28T18:00:00.500Z");
  EXPECT_EQ(requested("2026-11-28T18:00:00.123456Z"), "2026-11-28T18:00:00.123Z");
  EXPECT_EQ(requested("9999-12-31T23:59:59Z"), "9999-12-31T23:59:59Z");
  for (const auto* bad : {"0000-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-14:00"})
    EXPECT_EQ(requested(bad), "request_time") << bad;
  const auto said = [](std::string_view time) {
    return parse_assessment_request(
        R"({"assessment":{"assessment_name":"a","feedback":{"value":1},"create_time":")" + std::string(time) + "\"}}",
        "t", now);
  };
  EXPECT_EQ(said("2026-11-28T18:00:00+05:30")->json.at("create_time").as_string(), "2026-11-28T12:30:00Z");
  EXPECT_EQ(said("0000-01-01T00:00:00Z").error().field, "create_time");
  EXPECT_NE(said("2026-11-28T18:00:00.1234561Z")->json.at("assessment_id"),
            said("2026-11-28T18:00:00.1234562Z")->json.at("assessment_id"))
      << "two calls in one millisecond are two";
}

std::string assessment(std::string_view said) {
  return R"({"assessment":{"assessment_name":"a",)" + std::string(said) + "}}";
}

TEST(TraceRequest, ADurationIsInWholeMilliseconds) {
  const std::pair<std::string, std::string> durations[] = {
      {R"("1.5s")", "1.500s"}, {R"("0.0019s")", "0.001s"}, {R"("-0.0019s")", "-0.001s"},
      {R"("-0.0001s")", "0s"}, {R"("12s")", "12s"},        {R"("315576000000s")", "315576000000s"},
      {R"("-1s")", "-1s"},
  };
  for (const auto& [sent, kept] : durations) {
    const auto read = parse_trace_request(trace(R"({"trace_id":"t","execution_duration":)" + sent + "}"), now);
    ASSERT_TRUE(read) << sent;
    EXPECT_EQ(read->info.at("execution_duration").as_string(), kept) << sent;
  }
}

TEST(TraceRequest, WhatIsNoDurationIsRefused) {
  for (const std::string sent :
       {R"("abc")", R"("5")", R"("5 s")", R"("")", R"("s")", R"("1e3s")", R"("1.s")", R"("99999999999999s")", "5", "[]",
        R"("315576000000.1s")", R"("1.1234567891s")", R"("18446744073709551615s")"}) {
    const auto read = parse_trace_request(trace(R"({"trace_id":"t","execution_duration":)" + sent + "}"), now);
    ASSERT_FALSE(read) << sent;
    EXPECT_EQ(read.error().status, 400u) << sent;
    EXPECT_EQ(read.error().field, "execution_duration") << sent;
  }
  EXPECT_TRUE(parse_trace_request(trace(R"({"trace_id":"t","execution_duration":null})"), now)) << "it says none";
}

TEST(TraceRequest, ALocationIsAnExperimentAndSaysSo) {
  for (const auto* type : {"", R"("type":"NOPE",)", R"("type":"TRACE_LOCATION_TYPE_UNSPECIFIED",)"}) {
    const auto read = parse_trace_request(trace(R"({"trace_id":"t","trace_location":{)" + std::string(type) +
                                                R"("mlflow_experiment":{"experiment_id":"0"}}})"),
                                          now);
    ASSERT_FALSE(read) << type;
    EXPECT_EQ(read.error().reason,
              "Trace location type TraceLocationType.TRACE_LOCATION_TYPE_UNSPECIFIED does not match the provided "
              "location MlflowExperimentLocation(experiment_id='0').");
  }
  EXPECT_FALSE(parse_trace_request(trace(R"({"trace_id":"t","trace_location":{"type":"NOPE"}})"), now));
}

TEST(TraceRequest, AnExpectationHasNoRationaleAndOverridesNothing) {
  const std::string more = R"(,"overrides":"a-1","rationale":"r")";
  const auto expectation = parse_assessment_request(assessment(R"("expectation":{"value":1})" + more), "tr-1", now);
  ASSERT_TRUE(expectation) << expectation.error().reason;
  EXPECT_EQ(expectation->overrides, "");
  EXPECT_FALSE(expectation->json.contains("overrides") || expectation->json.contains("rationale"));
  const auto feedback = parse_assessment_request(assessment(R"("feedback":{"value":1})" + more), "tr-1", now);
  ASSERT_TRUE(feedback) << feedback.error().reason;
  EXPECT_EQ(feedback->overrides, "a-1");
  EXPECT_EQ(feedback->json.at("rationale"), "r");
}

TEST(TraceRequest, WhatATraceUsedIsItsNumbersAlone) {
  const auto metadata = [](const std::string& key, const std::string& text) {
    const boost::json::object given{{"mlflow.trace." + key, text}, {"assay.experiment", "another's"}};
    const auto read =
        parse_trace_request(trace(R"({"trace_id":"t","trace_metadata":)" + boost::json::serialize(given) + "}"), now);
    EXPECT_TRUE(read) << read.error().reason;
    EXPECT_FALSE(read->info.at("trace_metadata").as_object().contains("assay.experiment"));
    const auto* kept = read->info.at("trace_metadata").as_object().if_contains("mlflow.trace." + key);
    return kept ? std::string(kept->as_string()) : "none";
  };
  EXPECT_EQ(metadata("tokenUsage", R"({"output_tokens":5.0,"x":1,"input_tokens":"7","total_tokens":1.5})"),
            R"({"input_tokens": 7, "output_tokens": 5})");
  EXPECT_EQ(metadata("cost", R"({"total_cost":1,"x":2,"input_cost":true})"), R"({"total_cost": 1.0})");
  EXPECT_EQ(metadata("tokenUsage", "no JSON"), "none");
  EXPECT_EQ(metadata("tokenUsage", R"({"input_tokens":null})"), "none");
  EXPECT_EQ(metadata("session", "s"), "s");
}

TEST(TraceRequest, AnAssessmentsValueHoldsOnlyWhatTheClientReadsBack) {
  const std::pair<std::string, std::string> kept[] = {
      {R"("feedback":{"value":[1,{"aB":null}],"x":5,"serialized_value":5})", R"({"value":[1,{"aB":null}]})"},
      {R"("feedback":{"error":{"errorCode":"E","errorMessage":"","stackTrace":"S","x":1}})",
       R"({"value":null,"error":{"error_code":"E","stack_trace":"S"}})"},
      {R"("expectation":{"value":1,"x":5})", R"({"value":1})"},
      {R"("expectation":{"value":[1,{"k":null}]})",
       R"({"serialized_value":{"serialization_format":"JSON_FORMAT","value":"[1.0, {\"k\": null}]"}})"},
      {R"("expectation":{"serializedValue":{"serializationFormat":"JSON_FORMAT","value":"[1]","x":1}})",
       R"({"serialized_value":{"serialization_format":"JSON_FORMAT","value":"[1]"}})"},
  };
  for (const auto& [said, value] : kept) {
    const auto read = parse_assessment_request(assessment(said), "tr-1", now);
    ASSERT_TRUE(read) << said << read.error().reason;
    const auto* is = read->json.if_contains(said.starts_with(R"("f)") ? "feedback" : "expectation");
    EXPECT_EQ(boost::json::serialize(*is), value);
  }
  const std::string format = R"("serialization_format":"JSON_FORMAT")";
  const std::pair<std::string, std::string> refused[] = {
      {R"("expectation":{"value":null})", "The `value` field must be specified."},
      {R"("expectation":{})", "The `value` field must be specified."},
      {R"("expectation":{"serialized_value":{)" + format + R"(,"value":"null"}})",
       "The `value` field must be specified."},
      {R"("expectation":{"serialized_value":{)" + format + R"(,"value":"{nope"}})", "it is not JSON"},
      {R"("expectation":{"serialized_value":{"serialization_format":"X","value":"1"}})",
       "Unknown serialization format: X. Only JSON_FORMAT is supported."},
      {R"("expectation":{"serialized_value":5})", "it is not an object"},
      {R"("feedback":{"error":{"error_code":5}})", "it is not a string"},
      {R"("feedback":{"error":5})", "it is not an object"},
  };
  for (const auto& [said, reason] : refused) {
    const auto read = parse_assessment_request(assessment(said), "tr-1", now);
    ASSERT_FALSE(read) << said;
    EXPECT_EQ(read.error().reason, reason) << said;
    const auto whole = parse_trace_request(trace(R"({"trace_id":"t","assessments":[{)" + said + "}]}"), now);
    ASSERT_TRUE(whole && whole->refused) << said;
    EXPECT_EQ(whole->refused->reason, reason) << said;
    EXPECT_TRUE(whole->assessments.empty());
  }
}

TEST(TraceRequest, AValueIsAsDeepAsTheClientReadsIt) {
  const auto objects = [](int n) {
    std::string out = "1";
    for (; n > 0; --n) out = R"({"a":)" + out + "}";
    return R"("feedback":{"value":)" + out + "}";
  };
  const auto lists = [](std::size_t n) {
    return R"("feedback":{"value":)" + std::string(n, '[') + std::string(n, ']') + "}";
  };
  const auto deep_enough = {objects(31), lists(47)}, too_deep = {objects(32), lists(48), lists(200)};
  for (const auto& said : deep_enough) EXPECT_TRUE(parse_assessment_request(assessment(said), "tr-1", now));
  for (const auto& said : too_deep) {
    const auto read = parse_assessment_request(assessment(said), "tr-1", now);
    ASSERT_FALSE(read);
    EXPECT_TRUE(read.error().reason.starts_with("it is nested deeper than ")) << read.error().reason;
  }
}

TEST(TraceRequest, TakesNoMoreTagsAndMetadataThanATraceKeeps) {
  const auto with = [](std::size_t n) {
    std::string tags;
    for (std::size_t i = 0; i < n; ++i) tags += (i ? R"(,"k)" : R"("k)") + std::to_string(i) + R"(":"v")";
    return parse_trace_request(trace(R"({"trace_id":"t","trace_metadata":{"a":"b"},"tags":{)" + tags + "}}"), now);
  };
  EXPECT_TRUE(with(trace_entries_max - 3));  // "a", that it is final, and its experiment's name
  ASSERT_FALSE(with(trace_entries_max - 2));
  EXPECT_EQ(with(trace_entries_max - 2).error().field, "trace_metadata");
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
      {trace(R"({"trace_id":"t","assessments":[5]})"), "assessments"},
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
