#pragma once
// The event log of tests: everything in memory, durable as soon as it is there.
#include <condition_variable>
#include <map>
#include <mutex>

#include "ops/runtime/clock.hpp"
#include "storage/log/event_log.hpp"
#include "storage/log/event_source.hpp"
#include "storage/log/step.hpp"

namespace assay {

// Thread-safe. Sources and committers must not outlive it.
class MemoryLog final : public EventLog, public EventSources {
 public:
  explicit MemoryLog(Partition partitions = 1) : partitions_(partitions) {}

  Task<Result<Appended>> append(Record record) override;
  Task<std::vector<Result<Appended>>> append_all(std::vector<Record> records) override;
  std::string_view durability() const override { return "memory"; }
  Result<void> writable() const override;
  Partition partitions(Stream stream) const override { return stream == Stream::catalog ? 1 : partitions_; }
  // A position behind the end is Error::corrupt, as Kafka's sources say.
  Result<std::unique_ptr<EventSource>> open(std::vector<StartAt> starts) override;

  // A step writes its state there, with its outputs.
  std::unique_ptr<StepCommitter> committer(KeyValue& state);

  // Without a coroutine: what tests arrange.
  Appended put(const Record& record);
  // From now on it keeps when it was given a record, by this clock, as Kafka does.
  void keep_times(const Clock& clock);
  // While set, appends fail with it and nothing is written.
  void fail_with(error_code ec);
  // Forgets the records below `first`.
  void trim(StreamPartition where, Offset first);
  // Forgets the records from `end` on, as a log that has lost its tail.
  void cut(StreamPartition where, Offset end);
  Offset end(StreamPartition where) const;

 private:
  friend class MemorySource;
  friend class MemoryCommitter;
  struct Stored {
    std::string key;
    std::optional<std::string> value;
    Instant at;
  };
  struct Kept {
    Offset first = 0;
    std::map<Offset, Stored> records;
    Offset end = 0;
  };
  Appended put_locked(const Record& record);

  const Partition partitions_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<StreamPartition, Kept> kept_;
  std::map<std::string, std::uint64_t> identities_;
  error_code failure_;
  const Clock* clock_ = nullptr;
};

}  // namespace assay
