#include "ingest/privacy/redactor.hpp"

#include <gtest/gtest.h>

namespace assay {
namespace {

std::unique_ptr<Redactor> with(RedactionRules rules) {
  auto made = Redactor::make(rules);
  EXPECT_TRUE(made) << made.error();
  return std::move(*made);
}
std::string redacted(const Redactor& redactor, std::string text) {
  redactor.redact(text);
  return text;
}

TEST(Redactor, TakesOutAddressesNumbersAndCards) {
  const auto all = with({.built_in = {"email", "phone", "card"}});
  EXPECT_EQ(redacted(*all, "write to Ana.B+x@mail.example.org, please"), "write to [email], please");
  EXPECT_EQ(redacted(*all, "a@b.cd and c@d.ef"), "[email] and [email]");
  EXPECT_EQ(redacted(*all, "my card 4111 1111 1111 1111 is"), "my card [card] is");
  EXPECT_EQ(redacted(*all, "4111-1111-1111-1111"), "[card]");
  EXPECT_EQ(redacted(*all, "378282246310005"), "[card]");
  EXPECT_EQ(redacted(*all, "call +49 30 1234567 now"), "call [phone] now");
  EXPECT_EQ(redacted(*all, "(555) 123-4567"), "[phone]");
  EXPECT_EQ(redacted(*all, "grüße an müller@exämple.org"), redacted(*all, "grüße an müller@exämple.org"));
}

TEST(Redactor, LeavesAloneWhatIsNone) {
  const auto all = with({.built_in = {"email", "phone", "card"}});
  for (const auto* text :
       {"on 2026-11-23 at 15:57", "4111 1111 1111 1112 is no card by its check digit", "version 1.2.3", "a @ b",
        "it took 1234567 ms", "", "tr-0123456789abcdef0123456789abcdef", "1,000,000.00"})
    EXPECT_EQ(redacted(*all, text), text);
}

TEST(Redactor, HasPatternsOfTheOperatorsOwnWithinBounds) {
  const auto own = with({.patterns = {"ticket=T-[0-9]{4}", "name=(?i)mallory"}});
  EXPECT_EQ(redacted(*own, "T-1234 of MALLORY"), "[ticket] of [name]");
  for (const auto* bad : {"x", "=x", "x=", "x=(", "x=(?=y)", "x=a*", "x=a{1,2000}", "a\"b=x"})
    EXPECT_FALSE(Redactor::make({.patterns = {bad}})) << bad;
  EXPECT_FALSE(Redactor::make({.patterns = {"x=" + std::string(2000, 'a')}}));
  EXPECT_FALSE(Redactor::make({.patterns = std::vector<std::string>(100, "x=y")}));
}

// What takes another engine for ever.
TEST(Redactor, TakesLinearTimeWhateverTheTextIs) {
  const auto own = with({.built_in = {"email", "phone", "card"}, .patterns = {"x=(a+)+b", "y=(.*)(.*)(.*)z"}});
  const std::string text(16 << 10, 'a');
  EXPECT_EQ(redacted(*own, text), text);
}

TEST(Redactor, ClearsTheTextsOfJsonBelowTheirMembersAndNothingElse) {
  const auto all = with({.built_in = {"email", "card"}});
  constexpr std::string_view members[] = {"feedback", "rationale", "request_preview"};
  std::string json =
      R"({"id":"a@b.cd","items":[{"source":{"source_id":"a@b.cd"},"feedback":{"value":["a@b.cd",4111111111111111]},"rationale":"\"4111111111111111\"\n"}],"request_preview":"{\"q\":\"a@b.cd\"}"})";
  EXPECT_TRUE(all->redact_json(json, members));
  EXPECT_EQ(
      json,
      R"({"id":"a@b.cd","items":[{"source":{"source_id":"a@b.cd"},"feedback":{"value":["[email]",4111111111111111]},"rationale":"\"[card]\"\n"}],"request_preview":"{\"q\":\"[email]\"}"})");
  std::string clean = R"({"rationale": "nothing"})";
  EXPECT_FALSE(all->redact_json(clean, members));
  EXPECT_EQ(clean, R"({"rationale": "nothing"})");
  std::string none = "no JSON a@b.cd";
  EXPECT_FALSE(all->redact_json(none, members));
}

}  // namespace
}  // namespace assay
