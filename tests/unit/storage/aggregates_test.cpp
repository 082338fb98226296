// What is summed up as it is written: exact, whatever the window, also in a store that another version has written.
#include "storage/store/aggregates.hpp"

#include <gtest/gtest.h>

#include "storage/sinks/poison.hpp"
#include "storage/sinks/positions.hpp"
#include "storage/store/report.hpp"
#include "storage/store/trace_index.hpp"
#include "tests/support/hand_clock.hpp"
#include "tests/unit/storage/store_mixture.hpp"

namespace assay {
namespace {

using namespace testing_records;
using namespace std::chrono_literals;

bool on() { return true; }

Rating sum(const std::vector<double>& numbers) {
  Said said;
  for (const auto number : numbers) said.add({.ratings = {{"tone", Rating::of(number)}}});
  return said.ratings["tone"];
}

TEST(Aggregates, AnAverageIsThatOfTheNumbersAndTakingOneAwayUndoesAddingIt) {
  EXPECT_EQ(sum({0.8, 0.8, 0.8}).average(), 0.8);
  EXPECT_EQ(sum({0.1, 0.2}).average(), 0.15);
  EXPECT_EQ(sum({-2.5, 1}).average(), -0.75);
  EXPECT_EQ(sum({1e9, -1e9, 0.2, 0.4}).average(), 0.15);
  Said said{.ratings = {{"tone", sum({0.1, 0.7})}}};
  said.add({.ratings = {{"tone", Rating::of(0.7)}}}, -1);
  EXPECT_EQ(said.ratings["tone"], Rating::of(0.1));
  said.add({.ratings = {{"tone", Rating::of(0.1)}}}, -1);
  EXPECT_EQ(said, Said{});
}

// Read by later versions of this program: they stand on disk.
TEST(Aggregates, AShareIsTheseBytes) {
  const Share share{
      .place = std::string("0\0", 2) + big_endian(std::uint64_t{1000}),
      .overrides = true,
      .said = {.feedbacks = 3, .positive = 1, .left_out = 1, .ratings = {{"tone", {-1, -500'000'000, 2}}}}};
  using namespace std::string_literals;
  const auto n = [](std::int64_t number) { return big_endian(static_cast<std::uint64_t>(number)); };
  const auto bytes = "\x01\0\0\0\x0a"s + "0\0"s + n(1000) + "\x01" + n(3) + n(1) + n(0) + n(1) + "\0\0\0\x01"s +
                     "\0\0\0\x04tone"s + n(-1) + n(-500'000'000) + n(2);
  EXPECT_EQ(share.encode(), bytes);
  EXPECT_EQ(Share::decode(bytes), share);
  for (std::size_t i = 0; i < bytes.size(); ++i) EXPECT_FALSE(Share::decode(bytes.substr(0, i))) << i;
  EXPECT_FALSE(Share::decode(bytes + "x"));
}

struct AggregatesTest : ::testing::Test {
  void apply(Record record) {
    const auto stored = log_.add(std::move(record));
    ASSERT_TRUE(sink_.apply({&stored, 1}));
  }
  Figures since(Instant from, const std::string& experiment = "0") {
    EXPECT_TRUE(is_summed_up(kv_).value());
    auto figures = figures_since(kv_, experiment, from, on);
    EXPECT_TRUE(figures);
    return figures ? *figures : Figures{};
  }
  std::map<std::string, std::string> sums() {
    std::map<std::string, std::string> out;
    EXPECT_TRUE(kv_.scan(Family::trace_index, "a", "b", [&](std::string_view key, std::string_view value) {
      out.emplace(key, value);
      return true;
    }));
    return out;
  }

  MemoryKeyValue kv_;
  HandClock clock_{t0};
  StoreSink sink_{kv_, clock_};
  Log log_;
};

TEST_F(AggregatesTest, AWindowBeginsAtItsMillisecond) {
  const auto hour = *parse_time("2026-11-23T16:00:00.000Z");
  const std::chrono::milliseconds offsets[] = {-3'600'001ms, -3'600'000ms, -60'001ms,   -60'000ms,   -1'001ms,
                                               -1'000ms,     -1ms,         0ms,         1ms,         999ms,
                                               1'000ms,      61'234ms,     3'600'000ms, 86'400'000ms};
  int i = 0;
  for (const auto offset : offsets) {
    const auto id = "tr-" + std::to_string(i++);
    apply(trace(id, t0, located("0", hour + offset)));
    apply(feedback("a-" + id, id, t0, "user_tone", "0.5"));
  }
  for (const auto begin : offsets)
    for (const auto step : {-1ms, 0ms, 1ms}) {
      const auto from = hour + begin + step;
      const auto n = std::ranges::count_if(offsets, [&](const auto offset) { return hour + offset >= from; });
      EXPECT_EQ(since(from).traces, n) << from.time_since_epoch().count();
      EXPECT_EQ(since(from).said.ratings["tone"].count, n);
    }
}

TEST_F(AggregatesTest, WhatIsTakenBackLeavesNothing) {
  apply(trace("tr-1", t0, located("0", t0)));
  apply(feedback("a-1", "tr-1", at(1), "user_feedback", "true"));
  apply(feedback("a-2", "tr-1", at(1), "user_tone", "0.25"));
  apply(feedback("a-3", "tr-1", at(2), "user_feedback", "false", R"(,"overrides":"a-1")"));
  EXPECT_EQ(since(t0), (Figures{1, 1, {.feedbacks = 2, .negative = 1, .ratings = {{"tone", Rating::of(0.25)}}}}));
  apply(erase("a-3", "d-1", "tr-1", at(3)));
  EXPECT_EQ(since(t0).said.positive, 1);
  apply(erase("a-1", "d-2", "tr-1", at(3)));
  apply(erase("a-2", "d-3", "tr-1", at(3)));
  EXPECT_EQ(since(t0), (Figures{.traces = 1}));
  apply(erase_trace("tr-1", at(4)));
  EXPECT_EQ(since(t0), Figures{});
  EXPECT_TRUE(sums().empty());
}

TEST_F(AggregatesTest, WhatIsSaidFirstCountsOnceItsTraceIsTold) {
  apply(feedback("a-1", "tr-1", at(1), "user_feedback", "true"));
  EXPECT_EQ(since(Instant()), Figures{});
  apply(trace("tr-1", t0, located("0", t0)));
  EXPECT_EQ(since(t0).said.positive, 1);
  apply(trace("tr-1", at(5), located("0", at(2))));
  EXPECT_EQ(since(at(1)).said.positive, 1);
}

TEST_F(AggregatesTest, ANumberBeyondAThousandMillionIsLeftOut) {
  apply(trace("tr-1", t0, located("0", t0)));
  apply(feedback("a-1", "tr-1", t0, "user_tone", "1e9"));
  apply(feedback("a-2", "tr-1", t0, "user_tone", "-1000000001"));
  EXPECT_EQ(since(t0).said.left_out, 1);
  EXPECT_EQ(since(t0).said.ratings["tone"].average(), 1e9);
}

TEST_F(AggregatesTest, WhoAsksMayGiveUp) {
  for (int i = 0; i < 3; ++i) apply(trace("tr-" + std::to_string(i), t0, located("0", t0 + std::chrono::hours(i))));
  const auto figures = figures_since(kv_, "0", t0, [] { return false; });
  ASSERT_FALSE(figures);
  EXPECT_EQ(figures.error(), make_error_code(Error::stopped));
}

// A store that is written without sums, as older versions write it.
void apply_as_before(KeyValue& kv, std::span<const LogRecord> records, const StoreBatch::SummedUp& summed_up) {
  std::vector<AssessmentRecord> assessments;
  std::vector<TraceRecord> traces;
  for (const auto& record : records) {
    if (record.stream == Stream::assessments) assessments.push_back(*read_assessment(record));
    if (record.stream == Stream::traces) traces.push_back(*read_trace(record));
  }
  StoreBatch batch(kv, true, summed_up);
  ASSERT_TRUE(batch.load(assessments, traces));
  auto assessment = assessments.begin();
  auto trace = traces.begin();
  for (const auto& record : records) {
    if (record.stream == Stream::assessments) {
      ASSERT_TRUE(batch.apply(*assessment++, record.partition, record.offset));
    } else {
      ASSERT_TRUE(batch.apply(*trace++));
    }
  }
  const auto changes = batch.finish();
  ASSERT_TRUE(changes && kv.write(*changes));
}

TEST(AggregatesUpkeep, AStoreWithoutSumsIsSummedUpWhileItIsWritten) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    Log log;
    const auto records = mixture(log, random);
    MemoryKeyValue kv, all_at_once;
    apply_as_before(all_at_once, records, [](auto&) { return false; });
    AggregatesUpkeep whole(all_at_once, positions_prefix("store"));
    ASSERT_TRUE(whole.load() && whole.go_on(100));

    apply_as_before(kv, {records.data(), records.size() / 2}, [](auto&) { return false; });
    AggregatesUpkeep upkeep(kv, positions_prefix("store"));
    ASSERT_TRUE(upkeep.load());
    for (auto i = records.size() / 2; i < records.size(); ++i) {
      ASSERT_TRUE(random() % 4 || upkeep.go_on(1));
      ASSERT_TRUE(random() % 8 || upkeep.load());
      apply_as_before(kv, {&records[i], 1}, [&](const std::string& id) { return upkeep.covers(id); });
    }
    while (!is_summed_up(kv).value()) ASSERT_TRUE(upkeep.go_on(1));
    ASSERT_EQ(contents(kv), contents(all_at_once)) << "seed " << seed;
    ASSERT_EQ(*figures_since(kv, "0", t0, on), *count_figures(kv, "0", t0, on));
  }
}

TEST_F(AggregatesTest, WhereAnOlderVersionHasWrittenInBetweenEverythingIsSummedUpAnew) {
  apply(trace("tr-1", t0, located("0", t0)));
  apply(feedback("a-1", "tr-1", at(1), "user_feedback", "true"));
  apply(trace("tr-2", t0, located("0", t0)));
  const LogRecord records[] = {log_.add(erase_trace("tr-2", at(2))),
                               log_.add(feedback("a-2", "tr-1", at(3), "user_tone", "0.5"))};
  apply_as_before(kv_, records, [](auto&) { return false; });
  Changes positions;
  for (const auto& record : records)
    positions.put(Family::meta, position_key("store", {record.stream, 0}), std::to_string(record.offset + 1));
  ASSERT_TRUE(kv_.write(positions));
  StoreSink again(kv_, clock_);
  ASSERT_TRUE(again.apply({}));
  ASSERT_TRUE(again.apply({}));
  EXPECT_EQ(since(t0), (Figures{1, 1, {.feedbacks = 2, .positive = 1, .ratings = {{"tone", Rating::of(0.5)}}}}));
}

TEST_F(AggregatesTest, ARestartSumsNothingUpAnew) {
  apply(trace("tr-1", t0, located("0", t0)));
  Changes nonsense;
  for (const auto& [key, value] : sums()) nonsense.put(Family::trace_index, key, "kept as it is");
  ASSERT_TRUE(kv_.write(nonsense));
  StoreSink again(kv_, clock_);
  ASSERT_TRUE(again.apply({}));
  EXPECT_EQ(sums().begin()->second, "kept as it is");
  EXPECT_EQ(figures_since(kv_, "0", Instant(), on).error(), make_error_code(Error::corrupt));
}

}  // namespace
}  // namespace assay
