// What OpenAI's door reads of a chat completion request.
#include <gtest/gtest.h>

#include "ingest/openai/completion_request.hpp"

namespace assay {
namespace {

std::string said(const std::string& body) {
  const auto asked = parse_completion_body(body);
  if (asked) return "asks " + asked->message;
  return std::to_string(asked.error().status) + " " + asked.error().field + ": " + asked.error().reason;
}

std::string with_messages(const std::string& messages) { return R"({"model":"m","messages":[)" + messages + "]}"; }

TEST(CompletionRequest, IsAboutTheLastThingThatTheUserSaid) {
  EXPECT_EQ(said(with_messages(R"({"role":"user","content":"one"},{"role":"assistant","content":null,"tool_calls":[]},)"
                               R"({"role":"user","content":[{"type":"text","text":"t"},)"
                               R"({"type":"image_url","image_url":{"url":"data:"}},{"type":"text","text":"wo"},5]})")),
            "asks two");
  EXPECT_EQ(said(with_messages(R"({"role":"user","content":"a","name":-1.5e+3,"x":[true,{"y":null}]})")), "asks a");
  EXPECT_EQ(said(with_messages(R"({"role":"user","role":"user","content":"a","content":"b"})")), "asks b");
  EXPECT_EQ(said(with_messages(R"({"role":5,"content":{"a":1}})")), "asks ");
}

TEST(CompletionRequest, OfWhichAPartIsNoJsonIsRefusedWhereverThatStands) {
  for (const auto* message :
       {R"({"role":"user","content":"hi","x":tru})", R"({"role":"user","content":01.e})", R"({"role":nul})",
        R"({"role":"user","content":[{"type":"image_url","image_url":{"url":nope}}]})",
        R"({"role":"user","content":[{"type":"text","text":1.}]})", R"({"role":"user","content":[nope]})",
        R"({"role":"user","content":"hi","tool_calls":[{"index":00}]})"})
    EXPECT_TRUE(said(with_messages(message)).starts_with("400 : body: "))
        << message << ": " << said(with_messages(message));
}

TEST(CompletionRequest, OfMessagesThatAreNoneSaysSo) {
  for (const auto* body : {R"({"messages":{}})", R"({"messages":null})", R"({"messages":["x"]})",
                           R"({"messages":[{"role":"user","content":"hi"},5]})"})
    EXPECT_EQ(said(body), "400 messages: must be an array of objects") << body;
  EXPECT_EQ(said(R"({"messages":[]})"), "400 messages: is missing or empty");
}

}  // namespace
}  // namespace assay
