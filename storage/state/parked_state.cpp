#include "storage/state/parked_state.hpp"

#include <map>

#include "ops/runtime/log.hpp"
#include "storage/state/remains_state.hpp"
#include "storage/state/state_keys.hpp"

namespace assay {

void park(Changes& changes, Partition partition, const ParkedRecord& parked) {
  const auto& id = parked.item.record_id;
  changes.put(Family::parked, state::parked_key(partition, id), parked_value(parked));
  changes.put(Family::parked, state::waiting_key(partition, parked.waits_for(), parked.order, id), "");
  changes.put(Family::parked, state::expiry_key(partition, parked.expires_at, id), "");
}

void unpark(Changes& changes, Partition partition, const ParkedRecord& parked) {
  const auto& id = parked.item.record_id;
  changes.erase(Family::parked, state::parked_key(partition, id));
  changes.erase(Family::parked, state::waiting_key(partition, parked.waits_for(), parked.order, id));
  changes.erase(Family::parked, state::expiry_key(partition, parked.expires_at, id));
}

Result<std::vector<std::optional<ParkedRecord>>> find_parked(const KeyValue& state, Partition partition,
                                                             std::span<const std::string> record_ids) {
  std::vector<std::string> keys;
  keys.reserve(record_ids.size());
  for (const auto& id : record_ids) keys.push_back(state::parked_key(partition, id));
  const auto values = state.multi_get(Family::parked, keys);
  if (!values) return values.error();
  std::vector<std::optional<ParkedRecord>> out(values->size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (!(*values)[i]) continue;
    auto parked = parse_parked_record(*(*values)[i]);
    if (!parked) return Error::corrupt;
    out[i] = std::move(*parked);
  }
  return out;
}

// What a record replaces stands under other keys, too.
Result<std::int64_t> replay_parked(const KeyValue& state, Partition partition, std::span<const LogRecord> records,
                                   Changes& changes) {
  if (const auto replayed = replay_remains(state, partition, records, changes); !replayed) return replayed.error();
  std::vector<std::string> ids;
  for (const auto& record : records)
    if (!remains_of(record.key)) ids.emplace_back(record.key);
  const auto found = find_parked(state, partition, ids);
  if (!found) return found.error();
  std::map<std::string, std::optional<ParkedRecord>, std::less<>> known;
  for (std::size_t i = 0; i < ids.size(); ++i) known.try_emplace(ids[i], (*found)[i]);
  std::int64_t more = 0;
  for (const auto& record : records) {
    if (remains_of(record.key)) continue;
    auto& parked = known.find(record.key)->second;
    if (parked) {
      unpark(changes, partition, *parked);
      parked.reset();
      --more;
    }
    if (record.tombstone) continue;
    auto parsed = parse_parked_record(record.value);
    if (!parsed) {
      spdlog::error("event=changelog_unreadable partition={} offset={} problem=\"{}\"", partition, record.offset,
                    parsed.error().reason);
      continue;
    }
    parked = std::move(*parsed);
    park(changes, partition, *parked);
    ++more;
  }
  return more;
}

Result<std::vector<std::string>> waiting_for(const KeyValue& state, Partition partition, std::string_view id,
                                             std::size_t most) {
  const auto prefix = state::waiting_prefix(partition, id);
  std::vector<std::string> out;
  if (most == 0) return out;
  const auto scanned =
      state.scan(Family::parked, prefix, after_prefix(prefix), [&](std::string_view key, std::string_view) {
        if (key.size() > prefix.size() + 8) out.emplace_back(key.substr(prefix.size() + 8));
        return out.size() < most;
      });
  if (!scanned) return scanned.error();
  return out;
}

Result<std::vector<std::string>> awaited_ids(const KeyValue& state, Partition partition, std::string_view after,
                                             std::size_t most) {
  const auto all = state::waiting_prefix(partition);
  const auto end = after_prefix(all);
  auto from = after.empty() ? all : after_prefix(state::waiting_prefix(partition, after));
  std::vector<std::string> out;
  while (out.size() < most) {
    std::optional<std::string> id;
    // One look for each id: behind one there may be a hundred thousand entries.
    const auto scanned = state.scan(Family::parked, from, end, [&](std::string_view key, std::string_view) {
      const auto length = static_cast<std::size_t>(static_cast<unsigned char>(key[all.size()])) << 8 |
                          static_cast<unsigned char>(key[all.size() + 1]);
      id = key.substr(all.size() + 2, length);
      return false;
    });
    if (!scanned) return scanned.error();
    if (!id) break;
    from = after_prefix(state::waiting_prefix(partition, *id));
    out.push_back(std::move(*id));
  }
  return out;
}

Result<std::vector<std::string>> expired_at(const KeyValue& state, Partition partition, Instant now, std::size_t most) {
  const auto from = state::expiry_prefix(partition);
  std::vector<std::string> out;
  if (most == 0) return out;
  const auto scanned =
      state.scan(Family::parked, from, state::expiry_prefix(partition, now + std::chrono::milliseconds(1)),
                 [&](std::string_view key, std::string_view) {
                   out.emplace_back(key.substr(from.size() + 8));
                   return out.size() < most;
                 });
  if (!scanned) return scanned.error();
  return out;
}

Result<std::optional<Instant>> next_expiry(const KeyValue& state, Partition partition) {
  const auto from = state::expiry_prefix(partition);
  std::optional<Instant> at;
  const auto scanned =
      state.scan(Family::parked, from, after_prefix(from), [&](std::string_view key, std::string_view) {
        at = Instant(std::chrono::milliseconds(static_cast<std::int64_t>(read_big_endian64(key.substr(from.size())))));
        return false;
      });
  if (!scanned) return scanned.error();
  return at;
}

Result<std::int64_t> count_parked(const KeyValue& state, Partition partition) {
  const auto from = state::parked_prefix(partition);
  std::int64_t count = 0;
  const auto scanned = state.scan(Family::parked, from, after_prefix(from), [&](std::string_view, std::string_view) {
    ++count;
    return true;
  });
  if (!scanned) return scanned.error();
  return count;
}

}  // namespace assay
