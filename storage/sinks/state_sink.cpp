#include "storage/sinks/state_sink.hpp"

#include "ops/runtime/log.hpp"
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
  std::map<Partition, std::vector<const LogRecord*>> parked;
  std::map<StreamPartition, Offset> reached;
  for (const auto& record : records) {
    reached[{record.stream, record.partition}] = record.offset + 1;
    if (record.stream == Stream::parked)
      parked[record.partition].push_back(&record);
    else if (record.tombstone)
      erase_trace(changes, record.partition, record.key);
    else if (!record.value.empty())
      put_trace(changes, record.partition, record.key, record.value, record.at);
  }
  for (const auto& [partition, list] : parked)
    if (const auto applied = apply_parked(partition, list, changes); !applied) return applied;
  for (const auto& [of, next] : reached) changes.put(Family::meta, position_key(name(), of), std::to_string(next));
  if (const auto written = kv_.write(changes); !written) return written;
  std::scoped_lock lock(mutex_);
  for (const auto& [of, next] : reached) applied_[of] = next;
  return {};
}

// The last record of a key decides; what it replaces stands under other keys, too.
Result<void> StateSink::apply_parked(Partition partition, std::span<const LogRecord* const> records, Changes& changes) {
  std::vector<std::string> ids;
  for (const auto* record : records) ids.emplace_back(record->key);
  const auto found = find_parked(kv_, partition, ids);
  if (!found) return found.error();
  std::map<std::string, std::optional<ParkedRecord>, std::less<>> known;
  for (std::size_t i = 0; i < ids.size(); ++i) known.try_emplace(ids[i], (*found)[i]);
  for (const auto* record : records) {
    auto& now = known.find(record->key)->second;
    if (now) unpark(changes, partition, *now);
    now.reset();
    if (record->tombstone) continue;
    auto parsed = parse_parked_record(record->value);
    if (!parsed) {
      spdlog::warn("event=changelog_unreadable partition={} offset={} problem=\"{}\"", partition, record->offset,
                   parsed.error().reason);
      continue;
    }
    now = std::move(*parsed);
    park(changes, partition, *now);
  }
  return {};
}

Offset StateSink::applied(StreamPartition of) const {
  std::scoped_lock lock(mutex_);
  const auto at = applied_.find(of);
  return at == applied_.end() ? 0 : at->second;
}

}  // namespace assay
