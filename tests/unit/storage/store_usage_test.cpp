#include "storage/store/keys.hpp"
#include "storage/store/trace_usage.hpp"
#include "tests/unit/storage/store_fixture.hpp"

namespace assay {
namespace {

using namespace testing_records;
using StoreUsageTest = StoreTest;

const std::string chain = R"({"span_id":"c","parent_span_id":"a"})";

TEST_F(StoreUsageTest, WhatSpansUsedIsTheirTracesSumWhereNobodySaidIt) {
  const auto said = [&] { return store_.trace("tr-1")->value().text_at("trace_metadata.mlflow.trace.tokenUsage"); };
  const auto cost = [&] { return store_.trace("tr-1")->value().text_at("trace_metadata.mlflow.trace.cost"); };
  const auto add = [&](const std::string& spans) {
    apply(trace("tr-1", at(0), located("7", at(0)), "[" + spans + "]"));
  };
  add(chain);
  EXPECT_FALSE(said());
  add(span_that_used("b", "c", "3"));
  add(span_that_used("d", "c", "4", R"(, \"cache_read_input_tokens\": 9, \"output_tokens\": \"x\")"));
  add(span_that_used("d", "c", "4", R"(, \"cache_read_input_tokens\": 9, \"output_tokens\": \"x\")"));
  EXPECT_EQ(said(), R"({"input_tokens": 7, "output_tokens": 0, "total_tokens": 7, "cache_read_input_tokens": 9})");
  add(span_that_used("a", "", "5"));  // counts for all below it, also where something is in between
  EXPECT_EQ(said(), R"({"input_tokens": 5, "output_tokens": 0, "total_tokens": 5})");
  add(span_that_used("e", "e", "1"));  // in no tree
  EXPECT_EQ(said(), R"({"input_tokens": 5, "output_tokens": 0, "total_tokens": 5})");
  EXPECT_FALSE(cost());
  add(R"({"span_id":"f","attributes":{"mlflow.llm.cost":"\"{\\\"input_cost\\\": 0.1}\""}},)"
      R"({"span_id":"g","attributes":{"mlflow.llm.cost":"{\"input_cost\": 0.2, \"total_cost\": 1}"}})");
  EXPECT_EQ(cost(), R"({"input_cost": 0.30000000000000004, "output_cost": 0.0, "total_cost": 1.0})");
  apply(trace("tr-1", at(1), R"("state":"OK","trace_metadata":{"mlflow.trace.tokenUsage":"{\"input_tokens\": 1}"})"));
  EXPECT_EQ(said(), R"({"input_tokens": 1})");
  add(span_that_used("h", "", "5"));
  EXPECT_EQ(said(), R"({"input_tokens": 1})");
}

TEST_F(StoreUsageTest, TheSumOfATracesSpansIsMadeOfTheirUsageAndNotOfTheirWholeJson) {
  const auto said = [&] { return store_.trace("tr-1")->value().text_at("trace_metadata.mlflow.trace.tokenUsage"); };
  const auto add = [&](const std::string& span) { apply(trace("tr-1", at(0), located("7", at(0)), "[" + span + "]")); };
  add(span_that_used("a", "", "3"));
  add(R"({"span_id":"b","parent_span_id":"a"})");
  Changes unreadable;  // nobody reads it
  unreadable.put(Family::traces, store_keys::span("tr-1", "a"), "no row");
  ASSERT_TRUE(kv_.write(unreadable));
  add(span_that_used("c", "b", "4"));
  EXPECT_EQ(said(), R"({"input_tokens": 3, "output_tokens": 0, "total_tokens": 3})");
  add(R"({"span_id":"d"})");
  add(span_that_used("e", "d", "1"));
  EXPECT_EQ(said(), R"({"input_tokens": 4, "output_tokens": 0, "total_tokens": 4})");
}

TEST(TraceUsage, IsNoTextLongerThanNumbersTake) {
  EXPECT_EQ(usage_text(R"({"input_tokens": 1})"), R"({"input_tokens": 1})");
  EXPECT_EQ(usage_text(R"({"input_tokens": 1, "x": ")" + std::string(5000, 'x') + "\"}"), "");
}

// What is kept of a span is not read for a later one of its place: its rank and its length are.
TEST_F(StoreUsageTest, ASpanThatIsSaidAgainCountsAsLongAsItIsNow) {
  const auto tally = [&] { return *SpanTally::decode(**kv_.get(Family::traces, store_keys::span_tally("tr-1"))); };
  const std::string small = R"({"span_id":"a"})", large = R"({"span_id":"a","name":"longer"})";
  apply(trace("tr-1", at(1), located("7", at(0)), "[" + large + "]"));
  apply(trace("tr-1", at(2), located("7", at(0)), "[" + small + "]"));
  EXPECT_EQ(tally().bytes, small.size());
  apply(trace("tr-1", at(0), located("7", at(0)), "[" + large + "]"));  // older
  EXPECT_EQ(tally().bytes, small.size());
  EXPECT_EQ(tally().count, 1u);
  EXPECT_EQ(*store_.spans("tr-1"), "[" + small + "]");
}

TEST(TraceUsage, StandsOnDiskAsItIsDescribed) {
  using namespace std::string_literals;
  const SpanUsage usage{.span_id = "s", .parent_id = "a", .tokens = "{}"};
  EXPECT_EQ(usage.encode(), "\1\0\0\0\1a\0\0\0\2{}\0\0\0\0"s);
  EXPECT_EQ(SpanUsage::decode("s", usage.encode())->tokens, "{}");
  EXPECT_EQ((SpanTally{.count = 2, .bytes = 5}).encode(), "\1\0\0\0\2\0\0\0\0\0\0\0\5"s);
  EXPECT_EQ(store_keys::usage("tr-1", "s"), "tr-1\0us"s);
  EXPECT_EQ(store_keys::span_tally("tr-1"), "tr-1\0n"s);
}

TEST_F(StoreUsageTest, WhatAnEarlierVersionKeptOfSpansIsCountedWhenTheNextComes) {
  const auto said = [&] { return store_.trace("tr-1")->value().text_at("trace_metadata.mlflow.trace.tokenUsage"); };
  const auto add = [&](const std::string& span) { apply(trace("tr-1", at(0), located("7", at(0)), "[" + span + "]")); };
  add(span_that_used("a", "", "3"));
  add(R"({"span_id":"b","parent_span_id":"a"})");
  Changes earlier;
  earlier.erase(Family::traces, store_keys::span_tally("tr-1"));
  for (const auto* id : {"a", "b"}) earlier.erase(Family::traces, store_keys::usage("tr-1", id));
  ASSERT_TRUE(kv_.write(earlier));
  add(span_that_used("c", "b", "4"));
  EXPECT_EQ(said(), R"({"input_tokens": 3, "output_tokens": 0, "total_tokens": 3})");
  EXPECT_EQ(SpanTally::decode(**kv_.get(Family::traces, store_keys::span_tally("tr-1")))->count, 3u);
  EXPECT_TRUE(*kv_.get(Family::traces, store_keys::usage("tr-1", "b")));
}

TEST_F(StoreUsageTest, ATraceTakesSoManySpansAndWhatIsOneTooManyIsADeadLetter) {
  std::string spans;
  for (std::uint32_t i = 0; i < trace_spans_max; ++i)
    spans += (i ? "," : "[") + (R"({"span_id":")" + std::to_string(i)) + "\"}";
  apply(trace("tr-1", at(0), located("7", at(0)), spans + "]"));
  apply(trace("tr-1", at(1), R"("state":"OK")", R"([{"span_id":"0","name":"said again"}])"));
  apply(trace("tr-1", at(2), R"("state":"ERROR")", R"([{"span_id":"one more"}])"));
  EXPECT_EQ(store_.trace("tr-1")->value().text_at("state"), "OK");
  std::string dead;
  ASSERT_TRUE(kv_.scan(Family::dead, "", "", [&](std::string_view, std::string_view value) {
    dead += value;
    return true;
  }));
  EXPECT_NE(dead.find("a trace holds at most 20000 spans"), std::string::npos) << dead;
  apply(erase_trace("tr-1", at(3)));
  EXPECT_FALSE(*kv_.get(Family::traces, store_keys::span_tally("tr-1")));
  EXPECT_FALSE(*kv_.get(Family::traces, store_keys::usage("tr-1", "7")));
}

}  // namespace
}  // namespace assay
