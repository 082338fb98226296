#pragma once
// A sink by REST, the MLflow that it writes to, and a log that feeds it.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "storage/sinks/mlflow_rest.hpp"
#include "storage/state/memory_key_value.hpp"
#include "tests/support/hand_clock.hpp"
#include "tests/unit/storage/fake_mlflow.hpp"
#include "tests/unit/storage/store_records.hpp"

namespace assay::testing_records {

class MlflowSinkTest : public testing::Test {
 protected:
  MlflowSinkTest() { open(); }
  // As a process that was killed and has started again.
  void open() {
    sink_.reset();
    config_.mlflow.url = mlflow_.url();
    config_.mlflow.limits.first_byte = answer_max_;
    sink_ = std::make_unique<MlflowSink>(
        config_, positions_, kv_,
        [this](DeadLetter dead) {
          dead_.push_back(std::move(dead));
          return Result<void>();
        },
        clock_, metrics_);
    for (const auto stream : sink_->follows()) ASSERT_TRUE(sink_->position({stream, 0}));
  }
  const LogRecord& add(Record record) { return log_.add(std::move(record)); }
  Result<void> apply(std::vector<LogRecord> records) { return sink_->apply(records); }
  Offset saved() { return *positions_.load({Stream::assessments, 0}); }
  static Record ok_trace(const std::string& id, const std::string& more = "") {
    return trace(id, at(0), located("", at(0)) + R"(,"state":"OK")" + more, R"([{"span_id":"s1"}])");
  }
  // Its experiment is not there.
  static Record lost_trace(const std::string& id) {
    return trace(id, at(0), located("999", at(0)) + R"(,"state":"OK")", R"([{"span_id":"s1","secret":1}])");
  }
  std::vector<LogRecord> many(std::size_t n, const std::string& prefix,
                              const std::function<Record(std::string)>& make) {
    std::vector<LogRecord> out;
    for (std::size_t i = 0; i < n; ++i) out.push_back(add(make(prefix + std::to_string(i))));
    return out;
  }

  test::FakeMlflow mlflow_;
  MlflowSinkConfig config_{.mlflow = {.experiment = "exp"}, .wait_max = std::chrono::hours(1)};
  std::chrono::milliseconds answer_max_{300};
  MemoryKeyValue kv_;
  KeyValuePositions positions_{kv_, "mlflow"};
  HandClock clock_{t0};
  Metrics metrics_;
  std::vector<DeadLetter> dead_;
  std::unique_ptr<MlflowSink> sink_;
  Log log_;
};

}  // namespace assay::testing_records
