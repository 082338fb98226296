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
}

TEST(Redactor, FindsThemBesideOtherDigits) {
  const auto all = with({.built_in = {"email", "phone", "card"}});
  const struct {
    const char *text, *expected;
  } table[] = {
      {"4111 1111 1111 1111 12/27", "[card] 12/27"},
      {"4111111111111111 12/27", "[card] 12/27"},
      {"4111 1111 1111 1111 123", "[card] 123"},
      {"pay 12 4111 1111 1111 1111", "pay 12 [card]"},
      {"4111 1111 1111 1111 5500 0000 0000 0004", "[card] [card]"},
      {"3782 822463 10005 7 times", "[card] 7 times"},
      {"4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "[card]"},
      {"4111 1111 1111 1111 8pm", "[card] 8pm"},
      {"4111.1111.1111.1111", "[card]"},
      {"4111\u00a01111\u00a01111\u00a01111", "[card]"},
      {"4111\u202f1111\u20111111\u20131111", "[card]"},
      {"card:\n4111 1111 1111 1111", "card:\n[card]"},
      {"555-123-4567 4111 1111 1111 1111", "[phone] [card]"},
      {"call 030 1234567 8 pm", "call [phone] 8 pm"},
      {"030 1234567 0171 7654321", "[phone] [phone]"},
      {"91 1234 5678 8 pm", "[phone] 8 pm"},
      {"030\u00a01234567", "[phone]"},
      {"2 030 1234567", "2 [phone]"},
      {"Tel. 06 12 34 56 78, le soir", "Tel. [phone], le soir"},
      {"06.12.34.56.78 01-23-45-67-89", "[phone] [phone]"},
      {"2026-11-29 030 1234567", "2026-11-29 [phone]"},
      {"10:20:30 +49 30 1234567", "10:20:30 [phone]"},
      {"from 192.168.1.20: 555-123-4567", "from 192.168.1.20: [phone]"},
      {"912 345 678", "[phone]"},
      {"+33.6.12.34.56.78", "[phone]"},
      {"2221 0000 0000 0009", "[card]"},
  };
  for (const auto& row : table) EXPECT_EQ(redacted(*all, row.text), row.expected) << row.text;
}

TEST(Redactor, KnowsTheLettersOfTheWorldInAddresses) {
  const auto all = with({.built_in = {"email"}});
  for (const auto* address : {"jörg@example.org", "info@müller.de", "ana＠example.org", "jo\u0308rg@example.org",
                              "пример@почта.рф", "用户@例子.广告", "O'Neil+x@example.co.uk"})
    EXPECT_EQ(redacted(*all, std::string("an ") + address + "!"), "an [email]!") << address;
}

TEST(Redactor, LeavesAloneWhatIsNone) {
  const auto all = with({.built_in = {"email", "phone", "card"}});
  for (const auto* text :
       {"on 2026-11-23 at 15:57", "4111 1111 1111 1112 is no card by its check digit", "version 1.2.3", "a @ b",
        "it took 1234567 ms", "", "tr-0123456789abcdef0123456789abcdef", "1,000,000.00", "score 0.4532015112830366",
        "97.53201511283036", "52.520008 13.404954", "12.345678", "1732809600007", "id 2345-4111-1111-abcd",
        "x4111111111111111", "scores 2 3 5 7 11 13 17 19 23 29 31 37 41 43",
        // times
        "2026-03-16T09:54:03.734493+08:00", "2026-04-16 21:30:05.090050-05:00", "2026-08-12 20:39:04.395581+0000",
        "21:12:09.909482+08:00", "20260324-024419", "20261211160530", "2026-11-26-04-56-51", "2026-01-02-03-04-05",
        // addresses, ids
        "111.87.253.244", "183.212.207.84:35942", "(10.244.131.212)", "53edaffa-8151-4426-8633-3ee3bb5995cf",
        "4ac627c6-0034-5707-0610-348d2dfa4ce0", "00-a7e5c8ddff50b8f50e1bb29a816d4c84-000854009291c50a-01",
        "tr-0048473684ae4b6fdf5f7ee72da0b46f", "002976094aaf82211d7322b785864307", "arn:aws:iam::002625080137:role/x",
        "001-16-2109",
        // years, books, grouped numbers
        "2019-2020-2021", "1922 1992 1986", "pages 1021-1045, vol. 12 (2019) 123-456", "978-4-48-983978-4",
        "978-3-16-148410-0", "9788250738201", "ISBN 0-306-40615-2", "6 635 596 185", "12 345 678", "1.234.567.890",
        "205 203 511 126 126", "02.03.04.05.06.07"})
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

// The same for numbers: one look at each from each of its groups, and none behind 19 digits. Were it quadratic, this
// would take longer than a test may.
TEST(Redactor, TakesLinearTimeOfNumbersThatNeverEnd) {
  const auto all = with({.built_in = {"email", "phone", "card"}});
  for (const std::string piece : {"4", "4111 ", "4 ", "411.", "+4", "4111-1111/", "a@", "a.", "\\u0040", "{\"", "["}) {
    std::string text;
    while (text.size() < 256 << 10) text += piece;
    all->redact(text);
    auto json = R"({"t":")" + text;
    constexpr JsonPlace places[] = {{.path = "t", .cut = true}};
    all->redact_json(json, places);
  }
}

std::string redacted_json(const Redactor& redactor, std::string json) {
  constexpr JsonPlace places[] = {{"items.feedback"},
                                  {"items.rationale"},
                                  {.path = "info.preview", .cut = true},
                                  {.path = "info.metadata", .cut = true},
                                  {.path = "spans.attributes", .json_values = true}};
  constexpr std::string_view kept[] = {"user"};
  const bool changed = redactor.redact_json(json, places, kept);
  return (changed ? "" : "unchanged: ") + json;
}

TEST(Redactor, ClearsTheTextsOfJsonAtTheirPlacesAndNothingElse) {
  const auto all = with({.built_in = {"email", "phone", "card"}});
  const struct {
    const char *json, *expected;
  } table[] = {
      {R"({"id":"a@b.cd","items":[{"source":{"id":"a@b.cd"},"rationale":"a@b.cd"},{"rationale":"c@d.ef","x":"a@b.cd"}]})",
       R"({"id":"a@b.cd","items":[{"source":{"id":"a@b.cd"},"rationale":"[email]"},{"rationale":"[email]","x":"a@b.cd"}]})"},
      {R"({"items":[{"rationale": "nothing", "feedback":{"value":0.10}}]})",
       R"(unchanged: {"items":[{"rationale": "nothing", "feedback":{"value":0.10}}]})"},
      // keys, numbers, depth
      {R"({"items":[{"feedback":{"a@b.cd":1.50,"x c@d.ef":[[[4111111111111111,-1,2]]],"y":4111111111111111.0}}]})",
       R"({"items":[{"feedback":{"[email]":1.50,"x [email] 2":[[["[card]",-1,2]]],"y":"[card]"}}]})"},
      {R"({"info":{"metadata":{"user":"a@b.cd","more":{"user":"a@b.cd"}}}})",
       R"({"info":{"metadata":{"user":"a@b.cd","more":{"user":"[email]"}}}})"},
      // JSON in strings
      {R"({"items":[{"rationale":"\"4111111111111111\"\n"}]})", R"({"items":[{"rationale":"\"[card]\"\n"}]})"},
      {R"({"items":[{"rationale":"\"ana\\u0040example.org\""}]})", R"({"items":[{"rationale":"\"[email]\""}]})"},
      {R"({"items":[{"rationale":" {\"a\":\"ana\\u0040example.org\"}"}]})",
       R"({"items":[{"rationale":" {\"a\":\"[email]\"}"}]})"},
      {R"({"items":[{"rationale":"{\"a\":\"{\\\"b\\\":\\\"\\\\nana@b.cd\\\"}\"}"}]})",
       R"({"items":[{"rationale":"{\"a\":\"{\\\"b\\\":\\\"\\\\n[email]\\\"}\"}"}]})"},
      {R"({"items":[{"rationale":"4111111111111111"}]})", R"({"items":[{"rationale":"[card]"}]})"},
      {R"({"items":[{"rationale":"[x] \"y\"\n(a@b.cd)!"}]})", R"({"items":[{"rationale":"[x] \"y\"\n([email])!"}]})"},
      {R"({"spans":[{"attributes":{"a":"\"mail:\\nana@b.cd\"","b":"4111111111111111","c":"\"tel:\\n030 1234567\"","d":"12.345678","e":"030 1234567"}}]})",
       R"({"spans":[{"attributes":{"a":"\"mail:\\n[email]\"","b":"\"[card]\"","c":"\"tel:\\n[phone]\"","d":"12.345678","e":"[phone]"}}]})"},
      // half a pair, and a whole one
      {R"({"items":[{"rationale":"\ud83d\ude00 \ud83d a@b.cd"}]})",
       "{\"items\":[{\"rationale\":\"😀 \ufffd [email]\"}]}"},
      // of a preview that was cut, what may have been the beginning of something
      {R"({"info":{"preview":"{\"q\":\"on 4111 1111 11"}})",
       R"(unchanged: {"info":{"preview":"{\"q\":\"on 4111 1111 11"}})"},
      {R"({"info":{"preview":"my card is 4111 1111 11..."}})", R"({"info":{"preview":"my card is ..."}})"},
      {R"({"info":{"preview":"{\"n\": 41111111..."}})", R"({"info":{"preview":"{\"n\": ..."}})"},
      {R"({"info":{"metadata":{"inputs":"{\"q\":\"I am ana@exam..."}}})",
       R"({"info":{"metadata":{"inputs":"{\"q\":\"I am ..."}}})"},
      {"no JSON a@b.cd", "no JSON [email]"},
  };
  for (const auto& row : table) EXPECT_EQ(redacted_json(*all, row.json), row.expected) << row.json;
}

TEST(Redactor, ClearsHoweverDeepItIs) {
  const auto all = with({.built_in = {"email"}});
  const std::string open(1000, '['), close(1000, ']');
  EXPECT_EQ(
      redacted_json(*all, R"({"items":[{"rationale":"a@b.cd","feedback":)" + open + R"("a@b.cd")" + close + "}]}"),
      R"({"items":[{"rationale":"[email]","feedback":)" + open + R"("[email]")" + close + "}]}");
}

// Each bracket is remembered as long as it is open: a text of 16 MB of them was 800 MB.
TEST(Redactor, WhatIsNestedWithoutEndIsATextAsAnyOther) {
  const auto all = with({.built_in = {"email"}});
  const std::string open(20'000, '[');
  EXPECT_EQ(redacted_json(*all, R"({"items":[{"rationale":")" + open + R"( a@b.cd"}]})"),
            R"({"items":[{"rationale":")" + open + R"( [email]"}]})");
  JsonChange change;
  std::string text = open;
  change = change_json(text, false, [](JsonText&) { return false; });
  EXPECT_FALSE(change.is_json);
}

}  // namespace
}  // namespace assay
