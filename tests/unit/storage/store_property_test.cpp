// What holds of the store whatever the records and their order, tried with records at random.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "storage/sinks/store_sink.hpp"
#include "storage/state/memory_key_value.hpp"
#include "storage/store/store.hpp"
#include "tests/support/hand_clock.hpp"
#include "tests/unit/storage/store_records.hpp"

namespace assay {
namespace {

using namespace testing_records;

// Everything that the store says, the ledgers and positions aside.
std::map<std::string, std::string> contents(const MemoryKeyValue& kv) {
  std::map<std::string, std::string> out;
  for (const auto family :
       {Family::traces, Family::assessments, Family::assessment_ids, Family::trace_index, Family::held, Family::dead})
    EXPECT_TRUE(kv.scan(family, "", "", [&](std::string_view key, std::string_view value) {
      out[std::string(name_of(family)) + "/" + std::string(key)] = value;
      return true;
    }));
  return out;
}

// A mixture in which everything meets everything: few traces, few assessments, close times.
std::vector<LogRecord> mixture(Log& log, std::mt19937& random) {
  const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  const auto trace_of = [](int a) { return "tr-" + std::to_string(a % 4); };
  for (int i = 0; i < 60; ++i) {
    const int a = pick(12);
    const auto id = "a-" + std::to_string(a), trace_id = trace_of(a), n = std::to_string(i);
    const auto when = at(pick(20));
    switch (pick(10)) {
      case 0:
      case 1:
      case 2: {
        const auto over = "a-" + std::to_string((a + 4) % 12);
        log.add(feedback(id, trace_id, when, "n" + std::to_string(pick(3)), std::to_string(i),
                         R"(,"metadata":{"k":"base)" + n + "\"}" + (pick(3) ? "" : R"(,"overrides":")" + over + "\"")));
        break;
      }
      case 3:
      case 4:
        log.add(update(id, "u-" + n, trace_id, when, R"("feedback":{"value":)" + n + "}"));
        break;
      case 5:
        log.add(
            update(id, "u-" + n, trace_id, when,
                   R"("rationale":"r)" + n + R"(","metadata":{"k)" + std::to_string(pick(2)) + "\":\"" + n + "\"}"));
        break;
      case 6:
        if (pick(3) == 0) log.add(erase(id, "d-" + n, trace_id, when));
        break;
      case 7:
      case 8:
        log.add(trace(
            trace_id, when,
            located(std::to_string(pick(2)), at(pick(5))) + R"(,"client_request_id":"r)" + std::to_string(pick(2)) +
                R"(","state":")" + (pick(2) ? "OK" : "IN_PROGRESS") + R"(","tags":{"t)" + std::to_string(pick(2)) +
                "\":\"" + n + "\"}" + (pick(8) ? "" : R"(,"trace_metadata":{"mlflow.trace.tokenUsage":"said"})"),
            pick(2) ? "[" + span_that_used("s" + std::to_string(pick(3)), "s" + std::to_string(pick(3)), n) + "]"
                    : R"([{"span_id":"s)" + std::to_string(pick(2)) + R"(","n":)" + n + "}]"));
        break;
      case 9:
        if (pick(8) == 0) log.add(erase_trace(trace_id, when));
        break;
    }
  }
  return log.records();
}

void apply_in_batches(StoreSink& sink, const std::vector<LogRecord>& records, std::mt19937& random) {
  for (std::size_t i = 0; i < records.size();) {
    const auto n = std::min<std::size_t>(records.size() - i, 1 + random() % 8);
    ASSERT_TRUE(sink.apply({records.data() + i, n}));
    i += n;
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
