#include "storage/sinks/state_sink.hpp"

#include "storage/records/request_record.hpp"
#include "storage/sinks/positions.hpp"
#include "storage/state/parked_state.hpp"
#include "storage/state/partition_state.hpp"

namespace assay {

Result<Offset> StateSink::position(StreamPartition of) {
  const auto next = load_position(kv_, name(), of);
  if (!next) return next;
  std::scoped_lock lock(mutex_);
  applied_[of] = *next;
  return next;
}

Result<void> StateSink::apply(std::span<const LogRecord> records) {
  if (records.empty()) return {};
  Changes changes;
  std::map<Partition, std::vector<LogRecord>> parked;
  std::map<StreamPartition, Offset> reached;
  for (const auto& record : records) {
    reached[{record.stream, record.partition}] = record.offset + 1;
    if (record.stream == Stream::parked)
      parked[record.partition].push_back(record);
    else if (problem_with_request(record))
      continue;  // a worker says so
    else if (record.tombstone)
      erase_trace(changes, record.partition, record.key);
    else
      put_trace(changes, record.partition, record.key, record.value, record.at);
  }
  for (const auto& [partition, list] : parked)
    if (const auto replayed = replay_parked(kv_, partition, list, changes); !replayed) return replayed.error();
  for (const auto& [of, next] : reached) changes.put(Family::meta, position_key(name(), of), std::to_string(next));
  if (const auto written = kv_.write(changes); !written) return written;
  std::scoped_lock lock(mutex_);
  for (const auto& [of, next] : reached) applied_[of] = next;
  return {};
}

Offset StateSink::applied(StreamPartition of) const {
  std::scoped_lock lock(mutex_);
  const auto at = applied_.find(of);
  return at == applied_.end() ? 0 : at->second;
}

}  // namespace assay
