#pragma once
// Records at random in which everything meets everything, and what a store says of them.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "storage/sinks/store_sink.hpp"
#include "storage/state/memory_key_value.hpp"
#include "tests/unit/storage/store_records.hpp"

namespace assay::testing_records {

// Everything that the store says, the ledgers and positions aside.
inline std::map<std::string, std::string> contents(const MemoryKeyValue& kv) {
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
inline std::vector<LogRecord> mixture(Log& log, std::mt19937& random) {
  const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  const std::string names[] = {"user_feedback", "user_tone", "user_tact", "n"},
                    values[] = {"true", "\"said\"", "1e300"};
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
        log.add(feedback(id, trace_id, when, names[pick(4)], pick(3) ? std::to_string(i) : values[pick(3)],
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
        if (pick(3) == 0)
          log.add(update(id, "u-" + n, trace_id, when, R"("assessment_name":")" + names[pick(4)] + '"'));
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

inline void apply_in_batches(StoreSink& sink, const std::vector<LogRecord>& records, std::mt19937& random) {
  for (std::size_t i = 0; i < records.size();) {
    const auto n = std::min<std::size_t>(records.size() - i, 1 + random() % 8);
    ASSERT_TRUE(sink.apply({records.data() + i, n}));
    i += n;
  }
}

}  // namespace assay::testing_records
