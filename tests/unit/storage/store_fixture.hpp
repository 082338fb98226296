#pragma once
// A store, written by its sink from records of a log.
#include <gtest/gtest.h>

#include "storage/sinks/store_sink.hpp"
#include "storage/state/memory_key_value.hpp"
#include "storage/store/store.hpp"
#include "tests/support/hand_clock.hpp"
#include "tests/unit/storage/store_records.hpp"

namespace assay::testing_records {

class StoreTest : public testing::Test {
 protected:
  void apply(Record record, Partition partition = 0) {
    const auto read = log_.add(std::move(record), partition);
    ASSERT_TRUE(sink_.apply({&read, 1}));
  }
  std::string assessment(const std::string& id) { return store_.assessment(id)->value_or("none"); }
  std::string info(const std::string& id) { return store_.trace_info(id)->value_or("none"); }

  MemoryKeyValue kv_;
  HandClock clock_{t0};
  StoreSink sink_{kv_, clock_};
  Store store_{kv_};
  Log log_;
};

}  // namespace assay::testing_records
