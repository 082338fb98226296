#include "storage/records/item_shape.hpp"

#include <gtest/gtest.h>

#include "storage/records/logged_feedback.hpp"

namespace assay {
namespace {

std::string create(const std::string& more) {
  return R"({"assessment_id":"a-1","assessment_name":"n")" + (more.empty() ? "" : "," + more) + "}";
}
std::string problem(const std::string& json, Op op = Op::create) {
  return problem_with_item(json, op).value_or("none");
}

TEST(ItemShape, IsMlflowsJsonOfAnAssessment) {
  EXPECT_EQ(problem(create(
                R"("source":{"source_type":"HUMAN","source_id":"ana"},"create_time":"2026-11-23T15:57:31.547Z",)"
                R"("feedback":{"value":[1,null]},"rationale":null,"metadata":{"k":"v"},"span_id":"s","valid":true)")),
            "none");
  EXPECT_EQ(problem(create(R"("feedback":{"error":{"error_code":"E"}})")), "none");
  EXPECT_EQ(problem(create(R"("expectation":{"serialized_value":{"value":"{}"}})")), "none");
  EXPECT_EQ(problem(create(R"("feedback":{"value":null},"of_a_newer_version":5)")), "none");
  EXPECT_EQ(problem(R"({"assessment_id":"a-1","rationale":"r"})", Op::update), "none");
  EXPECT_EQ(problem(R"({"assessment_id":"a-1","rationale":5})", Op::erase), "none")
      << "what a deletion says beside its id nobody reads";
}

TEST(ItemShape, NamesTheFieldThatIsNot) {
  const std::string said = R"("feedback":{"value":1},)";
  const std::pair<std::string, std::string> wrong[] = {
      {R"("rationale":5)", "rationale is not a string"},
      {R"("span_id":3)", "span_id is not a string"},
      {R"("metadata":[1])", "metadata is not an object of strings"},
      {R"("metadata":{"k":1})", "metadata is not an object of strings"},
      {R"("metadata":{"k":null})", "metadata is not an object of strings"},
      {R"("create_time":"0000-01-01T00:00:00Z")", "create_time is not a time"},
      {R"("create_time":"2026-01-01t00:00:00z")", "create_time is not a time"},
      {R"("create_time":"yesterday")", "create_time is not a time"},
      {R"("last_update_time":5)", "last_update_time is not a time"},
      {R"("source":"x")", "source is not {source_type, source_id?} with a type that MLflow knows"},
      {R"("source":{"source_type":"ALIEN"})", "source is not {source_type, source_id?} with a type that MLflow knows"},
      {R"("valid":"yes")", "valid is not a boolean"},
      {R"("trace_id":"tr-1")", "trace_id stands beside the items, and in none of them"},
      {R"("expectation":{"value":1})", "feedback and expectation are both there"},
  };
  for (const auto& [field, words] : wrong) EXPECT_EQ(problem(create(said + field)), words);
  EXPECT_EQ(problem(create("")), "feedback or expectation is missing");
  EXPECT_EQ(problem(create(R"("feedback":"good")")), "feedback is not an object with a value");
  EXPECT_EQ(problem(create(R"("feedback":{})")), "feedback is not an object with a value");
  EXPECT_EQ(problem(create(R"("expectation":{"serialized_value":5})")), "expectation is not an object with a value");
  EXPECT_EQ(problem(R"({"assessment_id":"a-1","metadata":{"k":null}})", Op::update), "none");
  EXPECT_NE(problem(R"({"assessment_id":"a-1","trace_id":"tr-1"})", Op::erase), "none");
  EXPECT_EQ(problem(R"({"assessment_id":"a-1","assessment_name":5,"feedback":{"value":1}})"),
            "assessment_name is not a string");
  EXPECT_EQ(problem(R"({"assessment_id":"a-1","feedback":{"value":1}})"), "assessment_name is missing");
  EXPECT_EQ(problem(R"({"assessment_id":"a-1","metadata":"m"})", Op::update), "metadata is not an object of strings");
}

TEST(ItemShape, IsAskedOfWhatStandsInALogAndNotOfWhatWasKept) {
  const std::string value =
      R"({"v":1,"op":"create","accepted_at":"2026-11-23T15:57:31Z","trace_id":"tr-1","items":[{"assessment_id":"a-1"}]})";
  const auto logged = parse_logged_feedback({Stream::feedback, 0, 7, "tr-1", value, false, {}});
  ASSERT_FALSE(logged);
  EXPECT_EQ(logged.error().reason, "assessment_name is missing");
  EXPECT_TRUE(parse_feedback_record(value));
}

}  // namespace
}  // namespace assay
