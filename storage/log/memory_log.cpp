#include "storage/log/memory_log.hpp"

#include <deque>

namespace assay {

class MemorySource final : public EventSource {
 public:
  MemorySource(MemoryLog& log, std::vector<StartAt> starts) : log_(log) {
    for (const auto& start : starts) positions_[start.from] = start.offset;
  }

  Result<std::span<const LogRecord>> read(std::size_t records_max, std::chrono::milliseconds wait) override {
    std::unique_lock lock(log_.mutex_);
    records_.clear();
    log_.changed_.wait_for(lock, wait, [&] { return woken_ || ready(); });
    woken_ = false;
    kept_.clear();
    for (auto& [where, position] : positions_) take(where, position, records_max);
    return std::span<const LogRecord>(records_);
  }

  Result<std::span<const LogRecord>> read_from(StreamPartition which, std::size_t records_max) override {
    std::scoped_lock lock(log_.mutex_);
    records_.clear();
    kept_.clear();
    take(which, positions_.at(which), records_max);
    return std::span<const LogRecord>(records_);
  }

  Result<Offset> end(StreamPartition which) override { return log_.end(which); }
  Offset position(StreamPartition which) const override { return positions_.at(which); }
  std::optional<Trimmed> take_trimmed(StreamPartition which) override {
    const auto found = trimmed_.extract(which);
    return found ? std::optional(found.mapped()) : std::nullopt;
  }
  Result<void> seek(StreamPartition which, Offset offset) override {
    if (offset > log_.end(which)) return Error::corrupt;
    positions_.at(which) = offset;
    trimmed_.erase(which);
    return {};
  }
  void wake() override {
    std::scoped_lock lock(log_.mutex_);
    woken_ = true;
    log_.changed_.notify_all();
  }

 private:
  bool ready() {
    for (const auto& [where, position] : positions_)
      if (position < log_.kept_[where].end) return true;
    return false;
  }

  void take(StreamPartition where, Offset& position, std::size_t records_max) {
    const auto& kept = log_.kept_[where];
    if (position < kept.first) {
      trimmed_.try_emplace(where, Trimmed{position, 0}).first->second.to = kept.first;
      position = kept.first;
    }
    for (auto at = kept.records.lower_bound(position); at != kept.records.end() && records_.size() < records_max;
         ++at) {
      const auto& copy = kept_.emplace_back(at->second);  // the log may move on while the caller reads
      records_.push_back({where.stream, where.partition, at->first, copy.key,
                          copy.value ? std::string_view(*copy.value) : std::string_view(), !copy.value, copy.at});
      position = at->first + 1;
    }
  }

  MemoryLog& log_;
  std::map<StreamPartition, Offset> positions_;
  std::map<StreamPartition, Trimmed> trimmed_;
  std::vector<LogRecord> records_;
  std::deque<MemoryLog::Stored> kept_;
  bool woken_ = false;
};

class MemoryCommitter final : public StepCommitter {
 public:
  MemoryCommitter(MemoryLog& log, KeyValue& state) : log_(log), state_(state) {}
  StepOutcome commit(Step& step) override {
    std::scoped_lock lock(log_.mutex_);
    if (log_.failure_ || !state_.write(step.state)) return StepOutcome::aborted;
    for (const auto& record : step.outputs) log_.put_locked(record);
    log_.changed_.notify_all();
    return StepOutcome::committed;
  }

 private:
  MemoryLog& log_;
  KeyValue& state_;
};

Appended MemoryLog::put_locked(const Record& record) {
  for (const auto& identity : record.identities)
    if (const auto [at, fresh] = identities_.emplace(identity.record_id, identity.body_hash); !fresh)
      return {at->second == identity.body_hash ? Appended::Outcome::duplicate : Appended::Outcome::conflict};
  const auto partition = record.partition.value_or(partition_of(record.key, partitions(record.stream)));
  auto& kept = kept_[{record.stream, partition}];
  kept.records.emplace(kept.end, Stored{record.key, record.value, clock_ ? clock_->now() : Instant{}});
  return {Appended::Outcome::appended, partition, kept.end++};
}

Appended MemoryLog::put(const Record& record) {
  std::scoped_lock lock(mutex_);
  const auto appended = put_locked(record);
  changed_.notify_all();
  return appended;
}

Task<Result<Appended>> MemoryLog::append(Record record) {
  {
    std::scoped_lock lock(mutex_);
    if (failure_) co_return failure_;
  }
  co_return put(record);
}

Task<std::vector<Result<Appended>>> MemoryLog::append_all(std::vector<Record> records) {
  std::vector<Result<Appended>> out;
  std::scoped_lock lock(mutex_);
  for (const auto& record : records) {
    if (failure_)
      out.emplace_back(failure_);
    else
      out.emplace_back(put_locked(record));
  }
  changed_.notify_all();
  co_return out;
}

Result<void> MemoryLog::writable() const {
  std::scoped_lock lock(mutex_);
  if (failure_) return failure_;
  return {};
}

void MemoryLog::keep_times(const Clock& clock) {
  std::scoped_lock lock(mutex_);
  clock_ = &clock;
}

void MemoryLog::fail_with(error_code ec) {
  std::scoped_lock lock(mutex_);
  failure_ = ec;
}

void MemoryLog::trim(StreamPartition where, Offset first) {
  std::scoped_lock lock(mutex_);
  auto& kept = kept_[where];
  kept.first = std::max(kept.first, first);
  kept.records.erase(kept.records.begin(), kept.records.lower_bound(first));
}

void MemoryLog::cut(StreamPartition where, Offset end) {
  std::scoped_lock lock(mutex_);
  auto& kept = kept_[where];
  kept.end = std::min(kept.end, end);
  kept.records.erase(kept.records.lower_bound(end), kept.records.end());
}

Offset MemoryLog::end(StreamPartition where) const {
  std::scoped_lock lock(mutex_);
  const auto at = kept_.find(where);
  return at == kept_.end() ? 0 : at->second.end;
}

Result<std::unique_ptr<EventSource>> MemoryLog::open(std::vector<StartAt> starts) {
  for (const auto& start : starts)
    if (start.offset > end(start.from)) return Error::corrupt;
  return std::unique_ptr<EventSource>(std::make_unique<MemorySource>(*this, std::move(starts)));
}

std::unique_ptr<StepCommitter> MemoryLog::committer(KeyValue& state) {
  return std::make_unique<MemoryCommitter>(*this, state);
}

}  // namespace assay
