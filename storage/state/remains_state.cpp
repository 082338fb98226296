#include "storage/state/remains_state.hpp"

#include <map>

#include "ops/runtime/log.hpp"
#include "storage/state/state_keys.hpp"

namespace assay {

void put_remains(Changes& changes, Partition partition, const Remains& remains) {
  changes.put(Family::parked, state::remains_key(partition, remains.assessment_id), remains_value(remains));
  changes.put(Family::parked, state::over_key(partition, remains.until, remains.assessment_id), "");
}

void erase_remains(Changes& changes, Partition partition, const Remains& remains) {
  changes.erase(Family::parked, state::remains_key(partition, remains.assessment_id));
  changes.erase(Family::parked, state::over_key(partition, remains.until, remains.assessment_id));
}

Result<void> replay_remains(const KeyValue& state, Partition partition, std::span<const LogRecord> records,
                            Changes& changes) {
  std::vector<std::string> ids;
  for (const auto& record : records)
    if (const auto id = remains_of(record.key)) ids.emplace_back(*id);
  if (ids.empty()) return {};
  const auto found = find_remains(state, partition, ids);
  if (!found) return found.error();
  std::map<std::string, std::optional<Remains>, std::less<>> known;
  for (std::size_t i = 0; i < ids.size(); ++i) known.try_emplace(ids[i], (*found)[i]);
  for (const auto& record : records) {
    const auto id = remains_of(record.key);
    if (!id) continue;
    auto& remains = known.find(*id)->second;
    if (remains) erase_remains(changes, partition, *remains);
    remains.reset();
    if (record.tombstone) continue;
    auto parsed = parse_remains_record(record.value);
    if (!parsed) {
      spdlog::error("event=changelog_unreadable partition={} offset={} problem=\"{}\"", partition, record.offset,
                    parsed.error().reason);
      continue;
    }
    remains = std::move(*parsed);
    put_remains(changes, partition, *remains);
  }
  return {};
}

Result<std::vector<std::optional<Remains>>> find_remains(const KeyValue& state, Partition partition,
                                                         std::span<const std::string> assessment_ids) {
  std::vector<std::string> keys;
  keys.reserve(assessment_ids.size());
  for (const auto& id : assessment_ids) keys.push_back(state::remains_key(partition, id));
  const auto values = state.multi_get(Family::parked, keys);
  if (!values) return values.error();
  std::vector<std::optional<Remains>> out(values->size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (!(*values)[i]) continue;
    auto remains = parse_remains_record(*(*values)[i]);
    if (!remains) return Error::corrupt;
    out[i] = std::move(*remains);
  }
  return out;
}

Result<std::vector<std::string>> remains_over(const KeyValue& state, Partition partition, Instant now,
                                              std::size_t most) {
  const auto from = state::over_prefix(partition);
  std::vector<std::string> out;
  if (most == 0) return out;
  const auto scanned =
      state.scan(Family::parked, from, state::over_prefix(partition, now + std::chrono::milliseconds(1)),
                 [&](std::string_view key, std::string_view) {
                   out.emplace_back(key.substr(from.size() + 8));
                   return out.size() < most;
                 });
  if (!scanned) return scanned.error();
  return out;
}

Result<bool> has_remains(const KeyValue& state, Partition partition) {
  const auto from = state::remains_key(partition, "");
  bool any = false;
  const auto scanned = state.scan(Family::parked, from, after_prefix(from), [&](std::string_view, std::string_view) {
    any = true;
    return false;
  });
  if (!scanned) return Result<bool>(boost::system::in_place_error, scanned.error());
  return any;
}

}  // namespace assay
