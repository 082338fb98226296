#pragma once
// A partition's loop over a log in memory.
#include <gtest/gtest.h>

#include <string>

#include "storage/log/memory_log.hpp"
#include "storage/records/request_record.hpp"
#include "storage/state/memory_key_value.hpp"
#include "tests/support/hand_clock.hpp"
#include "workers/partition_loop.hpp"

namespace assay::testing_loop {

using namespace std::chrono_literals;

class PartitionLoopTest : public testing::Test {
 protected:
  PartitionLoop loop(PartitionLoopConfig config = {}) {
    return PartitionLoop(
        config, log, state,
        [this] {
          return OpenedPartition{log.committer(state), {}};
        },
        clock, metrics, &progress);
  }
  void say(const std::string& id, const std::string& target) {
    log.put(to_record(FeedbackRecord{
        .target = {Target::Kind::client_request_id, target},
        .accepted_at = clock.now(),
        .body_hash = 1,
        .items = {{id, id, R"({"assessment_id":")" + id + R"(","assessment_name":"n","feedback":{"value":1}})"}}}));
  }
  void tell(const std::string& trace, const std::string& id) {
    for (const auto& record : request_records(trace, id, clock.now())) log.put(record);
  }
  static void drain(PartitionLoop& loop) {
    for (int i = 0; i < 10'000; ++i) {
      const auto ran = loop.run_once(0ms);
      ASSERT_TRUE(ran) << ran.error().message();
      if (*ran == PartitionLoop::Ran::idle) return;
    }
    FAIL() << "does not come to rest";
  }
  Offset end(Stream stream) { return log.end({stream, 0}); }

  MemoryLog log;
  MemoryKeyValue state;
  HandClock clock;
  Metrics metrics;
  Progress progress;
};

}  // namespace assay::testing_loop
