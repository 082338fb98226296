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

// An assessment that is read by itself is the one among those of its trace.
void expect_each_alone_as_among_its_trace(const KeyValue& kv) {
  const Store store(kv);
  std::vector<std::string> ids;
  ASSERT_TRUE(kv.scan(Family::assessment_ids, "", "", [&](std::string_view id, std::string_view) {
    ids.emplace_back(id);
    return true;
  }));
  for (const auto& id : ids) {
    const auto located = *store.locate(id);
    const auto alone = *store.find(id);
    if (!located || located->kind != Store::Located::Kind::row) continue;
    const auto all = *store.assessments_of(located->trace_id);
    const auto among = std::ranges::find(all, id, &Store::Assessment::id);
    ASSERT_EQ(alone.has_value(), among != all.end()) << id;
    if (alone) ASSERT_EQ(alone->row.json(alone->valid), among->row.json(among->valid)) << id;
    if (alone) ASSERT_EQ(alone->created_at, among->created_at);
  }
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
      expect_each_alone_as_among_its_trace(kv);
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
