#pragma once
// The event log of the simulator: what is appended is durable. One thread; reads never wait.
#include <deque>
#include <map>
#include <vector>

#include "storage/log/event_source.hpp"

namespace assay::simulation {

class SimLog final : public EventSources {
 public:
  explicit SimLog(Partition partitions) : partitions_(partitions) {}

  Offset append(const Record& record) {
    const auto partition = record.partition.value_or(partition_of(record.key, partitions_));
    auto& records = streams_[{record.stream, partition}];
    records.push_back({record.key, record.value, record.accepted_at});
    return static_cast<Offset>(records.size()) - 1;
  }
  Partition partition_for(const Record& record) const {
    return record.partition.value_or(partition_of(record.key, partitions_));
  }

  struct Stored {
    std::string key;
    std::optional<std::string> value;
    Instant at;
  };
  // Everything, for the checks from outside.
  const std::deque<Stored>& records(StreamPartition where) { return streams_[where]; }
  Offset end(StreamPartition where) { return static_cast<Offset>(streams_[where].size()); }

  Result<std::unique_ptr<EventSource>> open(std::vector<StartAt> starts) override {
    return std::unique_ptr<EventSource>(std::make_unique<Source>(*this, std::move(starts)));
  }
  Partition partitions(Stream) const override { return partitions_; }
  Result<Offset> first_since(StreamPartition where, Instant at) override {
    const auto& records = streams_[where];
    Offset offset = 0;
    while (offset < std::ssize(records) && records[static_cast<std::size_t>(offset)].at < at) ++offset;
    return offset;
  }

 private:
  class Source final : public EventSource {
   public:
    Source(SimLog& log, std::vector<StartAt> starts) : log_(log), starts_(std::move(starts)) {}
    Result<std::span<const LogRecord>> read(std::size_t records_max, std::chrono::milliseconds) override {
      batch_.clear();
      for (auto& start : starts_) take(start, records_max);
      return std::span<const LogRecord>(batch_);
    }
    Result<std::span<const LogRecord>> read_from(StreamPartition which, std::size_t records_max) override {
      batch_.clear();
      take(find(which), records_max);
      return std::span<const LogRecord>(batch_);
    }
    Result<Offset> end(StreamPartition which) override { return log_.end(which); }
    Offset position(StreamPartition which) const override { return const_cast<Source*>(this)->find(which).offset; }
    Result<void> seek(StreamPartition which, Offset offset) override {
      find(which).offset = offset;
      return {};
    }
    void wake() override {}

   private:
    StartAt& find(StreamPartition which) {
      for (auto& start : starts_)
        if (start.from == which) return start;
      std::abort();
    }
    void take(StartAt& start, std::size_t records_max) {
      const auto& records = log_.records(start.from);
      while (start.offset < std::ssize(records) && batch_.size() < records_max) {
        const auto& stored = records[static_cast<std::size_t>(start.offset)];  // a deque's elements stay where they are
        batch_.push_back({start.from.stream, start.from.partition, start.offset, stored.key,
                          stored.value ? std::string_view(*stored.value) : std::string_view(), !stored.value,
                          stored.at});
        ++start.offset;
      }
    }
    SimLog& log_;
    std::vector<StartAt> starts_;
    std::vector<LogRecord> batch_;
  };

  const Partition partitions_;
  std::map<StreamPartition, std::deque<Stored>> streams_;
};

}  // namespace assay::simulation
