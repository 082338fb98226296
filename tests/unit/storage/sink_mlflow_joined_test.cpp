// Of a trace that a chat joined its caller has the root and the last word, also where it tells MLflow past us.
#include <algorithm>

#include "ops/runtime/base64.hpp"
#include "tests/unit/storage/mlflow_sink_fixture.hpp"

namespace assay {
namespace {

using namespace testing_records;
using testing_records::MlflowSinkTest;

const std::string trace_id = "tr-1234567890abcdef1234567890abcdef";

class MlflowJoinedTest : public MlflowSinkTest {
 protected:
  MlflowJoinedTest() { mlflow_.says_version("3.17.2"); }

  // A chat's, of one that began then.
  static Record joined(const std::string& state, const std::string& spans, Instant began = at(1),
                       const std::string& tags = "") {
    return to_record(TraceRecord{.from_spans = true,
                                 .trace_id = trace_id,
                                 .accepted_at = at(2),
                                 .info = R"({"trace_id":")" + trace_id + R"(","client_request_id":"req-chat",)" +
                                         located("", began) +
                                         R"(,"execution_duration":"1s","tags":{"mlflow.traceName":"chat")" + tags +
                                         R"(},"state":")" + state + "\"}",
                                 .spans = spans});
  }
  static std::string span(const std::string& id, const std::string& parent) {
    return R"([{"span_id":")" + to_base64(id) + R"(","parent_span_id":)" +
           (parent.empty() ? "null" : '"' + to_base64(parent) + '"') + R"(,"name":")" + id +
           R"(","start_time_unix_nano":1795449452547000000,"end_time_unix_nano":1795449453547000000}])";
  }
  void caller_tells_mlflow() {
    mlflow_.has_trace(trace_id, {{"trace_id", trace_id},
                                 {"client_request_id", "req-app"},
                                 {"request_time", format_time(at(0))},
                                 {"trace_location", {{"mlflow_experiment", {{"experiment_id", "7"}}}}},
                                 {"tags", {{"mlflow.traceName", "app"}}}});
  }
  std::string told(const char* field) { return std::string(mlflow_.traces().at(trace_id).at(field).as_string()); }
  std::string tag(const char* key) {
    const auto tags = mlflow_.traces().at(trace_id).at("tags").as_object();
    return tags.contains(key) ? std::string(tags.at(key).as_string()) : "";
  }
  std::size_t starts() {
    const auto said = mlflow_.said();
    return static_cast<std::size_t>(std::count(said.begin(), said.end(), "POST /api/3.0/mlflow/traces"));
  }
};

TEST_F(MlflowJoinedTest, AChatAddsItsSpanToTheTraceThatItsCallerHasToldMlflow) {
  caller_tells_mlflow();
  ASSERT_TRUE(apply({add(joined("IN_PROGRESS", "")), add(joined("OK", span("chatspan", "appspan1")))}));
  EXPECT_EQ(starts(), 0u);
  EXPECT_EQ(told("client_request_id"), "req-app");
  EXPECT_EQ(tag("mlflow.traceName"), "app");
  ASSERT_EQ(mlflow_.otlp().size(), 1u);
  EXPECT_EQ(mlflow_.otlp()[0].first, "7") << "where the trace is";
  EXPECT_NE(mlflow_.otlp()[0].second.find("chatspan"), std::string::npos);
  EXPECT_TRUE(dead_.empty());
}

TEST_F(MlflowJoinedTest, WhereMlflowHasNoSuchTraceTheChatTellsItAndItsEnd) {
  ASSERT_TRUE(apply({add(joined("IN_PROGRESS", ""))}));
  EXPECT_EQ(told("state"), "IN_PROGRESS");
  ASSERT_TRUE(apply({add(joined("OK", span("chatspan", "appspan1")))}));
  EXPECT_EQ(told("state"), "OK");
  EXPECT_EQ(told("client_request_id"), "req-chat");
  EXPECT_EQ(mlflow_.otlp().size(), 1u);
}

TEST_F(MlflowJoinedTest, AChatThatIsRenamedWhileItAnswersIsStillItsOwn) {
  ASSERT_TRUE(apply({add(joined("IN_PROGRESS", ""))}));
  ASSERT_TRUE(apply({add(trace(trace_id, at(3), R"("tags":{"mlflow.traceName":"mine"})")),
                     add(joined("OK", span("chatspan", "appspan1")))}));
  EXPECT_EQ(told("state"), "OK");
  EXPECT_EQ(tag("mlflow.traceName"), "mine");
}

TEST_F(MlflowJoinedTest, WhatTheCallerSaysAfterwardsStandsAtTheNextChat) {
  ASSERT_TRUE(apply({add(joined("OK", span("chatspan", "appspan1")))}));
  EXPECT_EQ(starts(), 1u);
  caller_tells_mlflow();
  ASSERT_TRUE(apply({add(joined("OK", span("another1", "appspan1"), at(5)))}));
  EXPECT_EQ(starts(), 1u);
  EXPECT_EQ(told("client_request_id"), "req-app");
  EXPECT_EQ(mlflow_.otlp().size(), 2u);
}

TEST_F(MlflowJoinedTest, ItsTagsAreSaidButForTheName) {
  caller_tells_mlflow();
  ASSERT_TRUE(apply({add(joined("OK", span("chatspan", "appspan1"), at(1), R"(,"mood":"good")"))}));
  EXPECT_EQ(tag("mood"), "good");
  EXPECT_EQ(tag("mlflow.traceName"), "app");
}

TEST_F(MlflowJoinedTest, AnOlderMlflowKeepsTheCallersArtifact) {
  mlflow_.says_version("3.1.4");
  caller_tells_mlflow();
  ASSERT_TRUE(apply({add(joined("OK", span("chatspan", "appspan1")))}));
  EXPECT_EQ(starts(), 0u);
  EXPECT_TRUE(mlflow_.artifacts().empty());
  EXPECT_NE(metrics_.text().find("assay_mlflow_spans_left_out_total 1"), std::string::npos);
}

TEST_F(MlflowJoinedTest, WhoHasTheRootTellsTheTrace) {
  caller_tells_mlflow();
  ASSERT_TRUE(apply({add(joined("OK", span("rootspan", "")))}));
  EXPECT_EQ(told("client_request_id"), "req-chat");
}

TEST_F(MlflowJoinedTest, SpansOfATraceThatHasNotEndedHereGoByOtlpToo) {
  ASSERT_TRUE(apply({add(joined("IN_PROGRESS", span("spanpart", "appspan1")))}));
  EXPECT_EQ(mlflow_.otlp().size(), 1u) << "its root may be told to MLflow alone";
}

}  // namespace
}  // namespace assay
