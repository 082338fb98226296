#pragma once
// What every event log must do, whatever keeps its records. Instantiate with a factory: see
// event_log_local_test.cpp, kafka_event_log_test.cpp and spooled_log_test.cpp.
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <functional>
#include <memory>

#include "storage/log/event_log.hpp"
#include "storage/log/event_source.hpp"
#include "storage/log/step.hpp"

namespace assay::contract {

// A log with its streams empty, and all that keeps it alive. Four partitions.
class LogUnderTest {
 public:
  virtual ~LogUnderTest() = default;
  // The io_context that appends run on; run() it by calling run_until_done below.
  virtual IoContext& io() = 0;
  virtual EventLog& log() = 0;
  virtual EventSources& sources() = 0;
  // A committer for steps of one partition, which writes their state to `state`.
  virtual std::unique_ptr<StepCommitter> committer(Partition partition) = 0;
  virtual KeyValue& state(Partition partition) = 0;
  // Whether the log looks for repeats at the door.
  virtual bool knows_repeats() const { return true; }
};

struct Factory {
  std::string name;
  std::function<std::unique_ptr<LogUnderTest>()> make;  // null: can't run here
};

class EventLogContract : public testing::TestWithParam<Factory> {
 protected:
  void SetUp() override {
    under_test = GetParam().make();
    if (!under_test) GTEST_SKIP() << GetParam().name << " is not available here";
  }

  template <class T>
  T run(Task<T> task) {
    std::optional<T> out;
    std::exception_ptr failed;
    asio::co_spawn(under_test->io(), std::move(task), [&](std::exception_ptr e, T value) {
      failed = e;
      out.emplace(std::move(value));
      under_test->io().stop();
    });
    under_test->io().restart();
    under_test->io().run();
    if (failed) std::rethrow_exception(failed);
    return std::move(*out);
  }
  Result<Appended> append(Record record) { return run(under_test->log().append(std::move(record))); }

  // Reads until `count` records are there, or a read of five seconds brought none.
  struct Copy {
    Stream stream;
    Partition partition;
    Offset offset;
    std::string key, value;
    bool tombstone;
  };
  std::vector<Copy> read(EventSource& source, std::size_t count) {
    std::vector<Copy> out;
    while (out.size() < count) {
      const auto records = source.read(1000, std::chrono::seconds(5));
      EXPECT_TRUE(records) << records.error().message();
      if (!records || records->empty()) break;
      for (const auto& r : *records)
        out.push_back({r.stream, r.partition, r.offset, std::string(r.key), std::string(r.value), r.tombstone});
    }
    return out;
  }
  std::unique_ptr<EventSource> open(std::vector<StartAt> starts) {
    auto source = under_test->sources().open(std::move(starts));
    EXPECT_TRUE(source) << source.error().message();
    return std::move(*source);
  }
  std::unique_ptr<EventSource> open_all(Stream stream) {
    std::vector<StartAt> starts;
    for (Partition p = 0; p < under_test->log().partitions(stream); ++p) starts.push_back({{stream, p}, 0});
    return open(std::move(starts));
  }
  static Record feedback(std::string key, std::string value) {
    return {.stream = Stream::feedback, .key = std::move(key), .value = std::move(value)};
  }

  std::unique_ptr<LogUnderTest> under_test;
};

}  // namespace assay::contract
