#include "storage/sinks/mlflow_json.hpp"

#include <gtest/gtest.h>

namespace assay {
namespace {

TEST(MlflowJson, TheTagIsMadeOfTheLastValidValueOfEachName) {
  const std::string body =
      R"({"trace":{"trace_info":{"tags":{"assay.feedback":"old"},"assessments":[)"
      R"({"assessment_name":"n","assessment_id":"a-1","feedback":{"value":1.0},"last_update_time":"2026-11-23T15:57:31.5Z"},)"
      R"({"assessment_name":"n","assessment_id":"a-2","feedback":{"value":2.0},"last_update_time":"2026-11-23T15:57:31Z"},)"
      R"({"assessment_name":"m","assessment_id":"a-3","feedback":{"value":"x"},"valid":false},)"
      R"({"assessment_name":"e","assessment_id":"a-4","expectation":{"value":"x"}}]}}})";
  const auto seen = mlflow::seen_trace(body, [](const auto&) { return std::nullopt; });
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->tag, "old");
  EXPECT_EQ(seen->wanted_tag, "n=1.0");
  // MLflow's times of changes are when it heard of them.
  const auto known = mlflow::seen_trace(
      body, [](const auto& id) { return id == "a-1" ? parse_time("2026-11-23T15:57:30Z") : std::optional<Instant>(); });
  EXPECT_EQ(known->wanted_tag, "n=2.0");
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

// A letter that quotes half a character can't be read, shown or replayed.
TEST(MlflowDeadLetter, QuotesWhatMlflowSaidAsText) {
  std::string long_value = "a";
  for (int i = 0; i < 300; ++i) long_value += "\u00fc";
  for (const auto& said :
       {R"({"error_code":"X","message":")" + long_value + "\"}", long_value, std::string("\xff\x80<html>")}) {
    const auto why = mlflow::failure_of(said).message;
    EXPECT_TRUE(simdjson::validate_utf8(why.data(), why.size())) << why;
    EXPECT_GE(why.size(), 8u);
  }
}

}  // namespace
}  // namespace assay
