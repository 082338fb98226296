#include "ingest/feedback/assessment_body.hpp"

#include <gtest/gtest.h>

namespace assay {
namespace {

std::string problem(std::string_view json, BodyContext place = BodyContext::request) {
  const auto body = parse_assessment_body(json, false, place);
  if (body) return "accepted: " + body->members;
  return std::to_string(body.error().status) + " " + body.error().field + ": " + body.error().reason;
}
std::string members(std::string_view json) {
  const auto body = parse_assessment_body(json, false);
  return body ? body->members : problem(json);
}

TEST(AssessmentBody, TakesTheGuidesForm) {
  EXPECT_EQ(members(R"({"is_correct":true})"), R"("feedback":{"value":true})");
  EXPECT_EQ(members(R"({"is_correct":false,"comment":"no \"good\""})"),
            R"("feedback":{"value":false},"rationale":"no \"good\"")");
  EXPECT_EQ(members(R"({"is_correct":true,"comment":null})"), R"("feedback":{"value":true})");
  EXPECT_EQ(parse_assessment_body(R"({"is_correct":true})", false)->name, "user_feedback");
}

TEST(AssessmentBody, TakesTheGeneralFormWithEveryKindOfValue) {
  EXPECT_EQ(members(R"({"name":"n","value":0.5})"), R"("feedback":{"value":0.5})");
  EXPECT_EQ(members(R"({"name":"n","value":3})"), R"("feedback":{"value":3})");
  EXPECT_EQ(members(R"({"name":"n","value":"great"})"), R"("feedback":{"value":"great"})");
  EXPECT_EQ(members(R"({"name":"n","value":{"a":[1,true,null]}})"), R"("feedback":{"value":{"a":[1,true,null]}})");
  const auto full = parse_assessment_body(
      R"({"name":"n","value":1,"rationale":"r","metadata":{"k":"v"},"span_id":"s1","source":{"type":"LLM_JUDGE","id":"gpt"}})",
      false);
  ASSERT_TRUE(full);
  EXPECT_EQ(full->members, R"("feedback":{"value":1},"rationale":"r","metadata":{"k":"v"},"span_id":"s1")");
  EXPECT_EQ(full->source_type, "LLM_JUDGE");
  EXPECT_EQ(full->source_id, "gpt");
}

TEST(AssessmentBody, RefusesWrongTypesAndNamesTheField) {
  EXPECT_EQ(problem(R"({"is_correct":"yes"})"), "422 is_correct: it is not a boolean");
  EXPECT_EQ(problem(R"({"is_correct":1})"), "422 is_correct: it is not a boolean");
  EXPECT_EQ(problem(R"({"is_correct":null})"), "422 is_correct: it is not a boolean");
  EXPECT_EQ(problem(R"({"is_correct":true,"comment":5})"), "422 comment: it is not a string or null");
  EXPECT_EQ(problem(R"({"name":5,"value":1})"), "422 name: it is not a string");
  EXPECT_EQ(problem(R"({"name":"","value":1})"), "422 name: it is empty or has control characters");
  EXPECT_EQ(problem(R"({"name":"n"})"), "422 value: it is missing");
  EXPECT_EQ(problem(R"({"name":"n","value":null})"), "422 value: it is null");
  EXPECT_EQ(problem(R"({"name":"n","value":1,"metadata":{"k":1}})"),
            R"(422 metadata: the value of "k" is not a string)");
  EXPECT_EQ(problem(R"({"name":"n","value":1,"source":{"id":"x"}})"), "422 source.type: it is missing");
  EXPECT_EQ(problem(R"({"name":"n","value":1,"source":{"type":"ALIEN"}})"),
            "422 source.type: it is not HUMAN, LLM_JUDGE or CODE");
  EXPECT_EQ(problem(R"({"name":"n","value":1,"source":"HUMAN"})"), "422 source: it is not an object");
  EXPECT_EQ(problem(R"({"name":"n","value":1,"source":{"type":"CODE","type":"HUMAN"}})"),
            "422 source.type: it is given twice");
  EXPECT_EQ(problem(R"({})"), "422 is_correct: it is missing (or name and value)");
  EXPECT_EQ(problem(R"([])"), "422 body: it is not an object");
}

TEST(AssessmentBody, RefusesWhatItDoesNotKnow) {
  EXPECT_EQ(problem(R"({"is_correct":true,"score":1})"), "422 score: there is no such field");
  EXPECT_EQ(problem(R"({"is_correct":true,"is_correct":false})"), "422 is_correct: it is given twice");
  EXPECT_EQ(problem(R"({"is_correct":true,"value":1})"), "422 value: there is no such field");
}

// Each compared with all the others, this would not end.
TEST(AssessmentBody, NamesTheFirstUnknownFieldOfVeryMany) {
  std::string many = "{\"z\":0";
  for (int i = 0; many.size() < (1u << 20); ++i) many += ",\"" + std::to_string(i) + "\":0";
  const auto with = [&](const std::string& known) { return "{" + known + "," + many.substr(1) + "}"; };
  EXPECT_EQ(problem(with(R"("is_correct":true)")), "422 z: there is no such field");
  EXPECT_EQ(problem(with(R"("name":"n","value":1,"trace_id":"tr-1")"), BodyContext::batch),
            "422 z: there is no such field");
  EXPECT_EQ(problem(R"({"name":"n","value":1,"source":)" + with(R"("type":"HUMAN")") + "}"),
            "422 source.z: there is no such field");
  EXPECT_EQ(problem(many + "}"), "422 is_correct: it is missing (or name and value)");
}

TEST(AssessmentBody, RefusesWhatIsNoJson) {
  EXPECT_EQ(problem("").substr(0, 10), "400 body: ");
  EXPECT_EQ(problem("{").substr(0, 10), "400 body: ");
  EXPECT_EQ(problem("{\"is_correct\":true} x").substr(0, 10), "400 body: ");
  EXPECT_EQ(problem("{\"is_correct\":true,\"comment\":\"\xff\"}"), "400 body: it is not UTF-8");
  EXPECT_EQ(problem(R"({"name":"n","value":1e999})").substr(0, 11), "400 value: ");
  EXPECT_EQ(problem(R"({"name":"n","value":123456789012345678901234567890})").substr(0, 11), "400 value: ");
  EXPECT_EQ(problem(R"({"name":"n","value":NaN})").substr(0, 10), "400 body: ");
  EXPECT_EQ(problem(R"({"name":"n","value":)" + std::string(5000, '[') + std::string(5000, ']') + "}").substr(0, 10),
            "400 body: ");
}

TEST(AssessmentBody, RefusesANulWhereverItStands) {
  EXPECT_EQ(problem(R"({"is_correct":true,"comment":"a\u0000b"})"), "422 comment: it has U+0000");
  EXPECT_EQ(problem(R"({"name":"n","value":1,"rationale":"\u0000"})"), "422 rationale: it has U+0000");
  EXPECT_EQ(problem(R"({"name":"n","value":"\u0000"})"), "422 value: it has U+0000");
  EXPECT_EQ(problem(R"({"name":"n","value":[{"k":["\u0000"]}]})"), "422 value: it has U+0000");
  EXPECT_EQ(problem(R"({"name":"n","value":{"\u0000":1}})"), "422 value: it has U+0000");
  EXPECT_EQ(problem(R"({"name":"n","value":1,"metadata":{"k":"\u0000"}})"),
            R"(422 metadata: the value of "k" has U+0000)");
  EXPECT_EQ(problem(R"({"name":"n","value":1,"metadata":{"\u0000":"v"}})"),
            "422 metadata: a key in it is empty, too long, or has U+0000");
  EXPECT_EQ(problem(R"({"name":"n","value":1,"metadata":{"a":"1","b":"2","a":"1"}})"),
            R"(422 metadata: the key "a" is given twice)");
  EXPECT_EQ(problem(R"({"name":"n","value":[{"a":1},{"b":{"a":1,"c":2,"a":2}}]})"),
            R"(422 value: the key "a" is given twice in one object)");
  EXPECT_EQ(members(R"({"name":"n","value":[{"a":1},{"a":1}]})"), R"("feedback":{"value":[{"a":1},{"a":1}]})");
}

TEST(AssessmentBody, RefusesWhatAPageSendsThatHasNoId) {
  for (const auto* none : {"undefined", "null", "None", "NaN", "[object Object]"})
    EXPECT_EQ(problem(R"({"is_correct":true,"trace_id":")" + std::string(none) + R"("})", BodyContext::batch),
              "422 trace_id: \"" + std::string(none) + "\" is no id: the page had none yet");
  for (const auto* spaced : {" ", " r", "r "})
    EXPECT_EQ(
        problem(R"({"is_correct":true,"client_request_id":")" + std::string(spaced) + R"("})", BodyContext::batch),
        "422 client_request_id: it has white space around it");
  EXPECT_TRUE(
      parse_assessment_body(R"({"is_correct":true,"client_request_id":"order 66"})", false, BodyContext::batch));
  EXPECT_TRUE(parse_assessment_body(R"({"is_correct":true,"trace_id":"nullable/none:1"})", false, BodyContext::batch));
}

TEST(AssessmentBody, BoundsEveryLength) {
  EXPECT_EQ(problem(R"({"name":"n","value":1,"span_id":")" + std::string(51, 's') + R"("})"),
            "422 span_id: it is longer than 50 bytes");
  EXPECT_EQ(problem(R"({"name":")" + std::string(251, 'x') + R"(","value":1})"),
            "422 name: it is longer than 250 bytes");
  EXPECT_EQ(problem(R"({"is_correct":true,"comment":")" + std::string(20'000, 'x') + R"("})"),
            "422 comment: it is longer than 16384 bytes");
}

TEST(AssessmentBody, AnItemOfABatchHasItsTargetAndItsKey) {
  const auto item = parse_assessment_body(
      R"({"is_correct":true,"trace_id":"tr-1","idempotency_key":"k","user_id":"u"})", false, BodyContext::batch);
  ASSERT_TRUE(item);
  EXPECT_EQ(item->target, (Target{Target::Kind::trace_id, "tr-1"}));
  EXPECT_EQ(item->idempotency_key, "k");
  EXPECT_EQ(problem(R"({"is_correct":true})", BodyContext::batch),
            "422 client_request_id: it is missing (or trace_id)");
  EXPECT_EQ(problem(R"({"is_correct":true,"trace_id":""})", BodyContext::batch), "400 trace_id: it is empty");
  EXPECT_EQ(problem(R"({"is_correct":true,"trace_id":"tr-1"})"), "422 trace_id: there is no such field");
}

}  // namespace
}  // namespace assay
