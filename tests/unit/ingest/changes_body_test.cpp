#include "ingest/feedback/changes_body.hpp"

#include <gtest/gtest.h>

namespace assay {
namespace {

std::string read(std::string_view json) {
  const auto body = parse_changes_body(json, false);
  if (body) return body->members;
  return std::to_string(body.error().status) + " " + body.error().field + ": " + body.error().reason;
}

TEST(ChangesBody, SaysWhatIsChangedAndWhatIsTakenAway) {
  EXPECT_EQ(read(R"({"value":2,"rationale":null,"metadata":{"a":"b"}})"),
            R"("feedback":{"value":2},"rationale":null,"metadata":{"a":"b"})");
  EXPECT_EQ(read(R"({"comment":"c","is_correct":false})"), R"("feedback":{"value":false},"rationale":"c")");
}

TEST(ChangesBody, NeedsSomethingToChange) {
  EXPECT_EQ(read("{}"), "422 value: nothing to change is given: value, rationale or metadata");
  EXPECT_EQ(read(R"({"metadata":null})"), "422 value: nothing to change is given: value, rationale or metadata");
}

TEST(ChangesBody, RefusesWhatSaysTheSameTwice) {
  EXPECT_EQ(read(R"({"is_correct":true,"value":1})"), "422 value: is_correct says it already");
  EXPECT_EQ(read(R"({"rationale":"r","comment":null})"), "422 comment: rationale says it already");
  EXPECT_EQ(read(R"({"value":1,"value":2})"), "422 value: it is given twice");
}

TEST(ChangesBody, RefusesWrongTypesAndWhatItDoesNotKnow) {
  EXPECT_EQ(read(R"({"is_correct":1})"), "422 is_correct: it is not a boolean");
  EXPECT_EQ(read(R"({"value":null})"), "422 value: it is null");
  EXPECT_EQ(read(R"({"comment":1})"), "422 comment: it is not a string or null");
  EXPECT_EQ(read(R"({"name":"other"})"), "422 name: there is no such field");
  EXPECT_EQ(read("[]"), "422 body: it is not an object");
}

TEST(ChangesBody, RefusesANulWhereverItStands) {
  EXPECT_EQ(read(R"({"value":"\u0000"})"), "422 value: it has U+0000");
  EXPECT_EQ(read(R"({"comment":"\u0000"})"), "422 comment: it has U+0000");
  EXPECT_EQ(read(R"({"metadata":{"k":"\u0000"}})"), R"(422 metadata: the value of "k" has U+0000)");
}

TEST(ChangesBody, NamesTheFirstUnknownFieldOfVeryMany) {
  std::string many = R"({"z":0,"value":1)";
  for (int i = 0; many.size() < (1u << 20); ++i) many += ",\"" + std::to_string(i) + "\":0";
  EXPECT_EQ(read(many + "}"), "422 z: there is no such field");
}

}  // namespace
}  // namespace assay
