// What holds of the store whatever the records and their order, tried with records at random.
#include <gtest/gtest.h>

#include <algorithm>

#include "storage/store/report.hpp"
#include "tests/support/hand_clock.hpp"
#include "tests/unit/storage/store_mixture.hpp"

namespace assay {
namespace {

using namespace testing_records;

// The figures that the store has summed up are those of its traces, whatever window is asked for.
void expect_figures_of_the_traces(const KeyValue& kv) {
  const auto on = [] { return true; };
  ASSERT_TRUE(is_summed_up(kv).value());
  for (const auto* experiment : {"0", "1", ""})
    for (const auto from : {Instant(), t0, at(1), at(3), at(29), at(3600)})
      ASSERT_EQ(*figures_since(kv, experiment, from, on), *count_figures(kv, experiment, from, on)) << experiment;
}

TEST(StoreProperty, AnyInterleavingEndsInTheSameStore) {
  const HandClock clock(t0);
  for (unsigned seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    Log log;
    auto records = mixture(log, random);
    std::map<std::string, std::string> expected;
    for (int round = 0; round < 4; ++round) {
      MemoryKeyValue kv;
      StoreSink sink(kv, clock);
      apply_in_batches(sink, records, random);
      if (round == 0) expected = contents(kv);
      ASSERT_EQ(contents(kv), expected) << "seed " << seed;
      expect_figures_of_the_traces(kv);
      EXPECT_EQ(sink.ledger().unaccounted(), 0);
      std::shuffle(records.begin(), records.end(), random);
    }
  }
}

TEST(StoreProperty, ApplyingRecordsAgainChangesNothing) {
  const HandClock clock(t0);
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    Log log;
    auto records = mixture(log, random);
    MemoryKeyValue kv;
    StoreSink sink(kv, clock);
    apply_in_batches(sink, records, random);
    const auto before = contents(kv);
    std::shuffle(records.begin(), records.end(), random);
    StoreSink again(kv, clock);
    ASSERT_TRUE(again.position({Stream::assessments, 0}));
    apply_in_batches(again, records, random);
    ASSERT_EQ(contents(kv), before) << "seed " << seed;
  }
}

}  // namespace
}  // namespace assay
