#include "storage/state/partition_state.hpp"

#include "storage/state/state_keys.hpp"

namespace assay {
namespace {

constexpr std::size_t wipe_keys_max = 10'000;  // of one write

constexpr char timed = '\1';  // begins a value of the index that has a time
constexpr std::size_t timed_header = 9;

std::string stored_number(std::int64_t n) { return big_endian(static_cast<std::uint64_t>(n)); }

Result<void> wipe_family(KeyValue& state, Family family, const std::string& prefix) {
  for (;;) {
    Changes changes;
    std::size_t count = 0;
    const auto scanned = state.scan(family, prefix, after_prefix(prefix), [&](std::string_view key, std::string_view) {
      changes.erase(family, std::string(key));
      return ++count < wipe_keys_max;
    });
    if (!scanned) return scanned;
    if (changes.empty()) return {};
    if (const auto written = state.write(changes); !written) return written;
  }
}

}  // namespace

Result<Meta> load_meta(const KeyValue& state, Partition partition) {
  std::vector<std::string> keys;
  for (const auto name :
       {state::requests_position, state::feedback_position, state::parked_position, state::accepted_max, state::ledger})
    keys.push_back(state::meta_key(partition, name));
  const auto values = state.multi_get(Family::meta, keys);
  if (!values) return values.error();
  for (std::size_t i = 0; i < 4; ++i)
    if ((*values)[i] && (*values)[i]->size() != 8) return Error::corrupt;
  const auto get = [&](std::size_t i) {
    return (*values)[i] ? static_cast<std::int64_t>(read_big_endian64(*(*values)[i])) : 0;
  };
  Meta meta{get(0), get(1), get(2), Instant(std::chrono::milliseconds(get(3))), {}};
  if ((*values)[4]) {
    const auto ledger = decode_resolver_ledger(*(*values)[4]);
    if (!ledger) return Error::corrupt;
    meta.ledger = *ledger;
  }
  return meta;
}

void save_meta(Changes& changes, Partition partition, const Meta& meta, const Meta& before) {
  const auto put = [&](std::string_view name, std::string value) {
    changes.put(Family::meta, state::meta_key(partition, name), std::move(value));
  };
  if (meta.requests != before.requests) put(state::requests_position, stored_number(meta.requests));
  if (meta.feedback != before.feedback) put(state::feedback_position, stored_number(meta.feedback));
  if (meta.parked != before.parked) put(state::parked_position, stored_number(meta.parked));
  if (meta.accepted_max != before.accepted_max)
    put(state::accepted_max, stored_number(meta.accepted_max.time_since_epoch().count()));
  if (meta.ledger != before.ledger) put(state::ledger, encode(meta.ledger));
}

std::string index_value(std::string_view trace_id, Instant told_at) {
  const auto ms = std::max<std::int64_t>(0, told_at.time_since_epoch().count());
  if (ms == 0 && !trace_id.starts_with(timed)) return std::string(trace_id);
  std::string value;
  value.reserve(timed_header + trace_id.size());
  return value.append(1, timed).append(stored_number(ms)).append(trace_id);
}

bool index_may_go(std::string_view value, Instant since) {
  if (value.size() < timed_header || value.front() != timed) return false;
  const auto ms = static_cast<std::int64_t>(read_big_endian64(value.substr(1)));
  return ms > 0 && Instant(std::chrono::milliseconds(ms)) < since;
}

Result<std::vector<std::optional<std::string>>> find_traces(const KeyValue& state, Partition partition,
                                                            std::span<const std::string> ids, Instant since) {
  std::vector<std::string> keys;
  keys.reserve(ids.size());
  for (const auto& id : ids) keys.push_back(state::index_key(partition, id));
  auto values = state.multi_get(Family::index, keys);
  if (!values) return values;
  for (auto& value : *values) {
    if (!value || value->size() < timed_header || value->front() != timed) continue;
    if (index_may_go(*value, since))
      value.reset();
    else
      value->erase(0, timed_header);
  }
  return values;
}

void put_trace(Changes& changes, Partition partition, std::string_view id, std::string_view trace_id, Instant told_at) {
  changes.put(Family::index, state::index_key(partition, id), index_value(trace_id, told_at));
}

void erase_trace(Changes& changes, Partition partition, std::string_view id) {
  changes.erase(Family::index, state::index_key(partition, id));
}

Result<std::vector<std::optional<Seen>>> find_seen(const KeyValue& state, Partition partition,
                                                   std::span<const std::string> record_ids) {
  std::vector<std::string> keys;
  keys.reserve(record_ids.size());
  for (const auto& id : record_ids) keys.push_back(seen_key(partition, id));
  const auto values = state.multi_get(Family::seen, keys);
  if (!values) return values.error();
  std::vector<std::optional<Seen>> out(values->size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (!(*values)[i]) continue;
    out[i] = decode_seen(*(*values)[i]);
    if (!out[i]) return Error::corrupt;
  }
  return out;
}

Result<void> wipe(KeyValue& state, Partition partition) {
  Changes marker;
  marker.put(Family::meta, state::meta_key(partition, state::wiping), "1");
  if (const auto written = state.write(marker); !written) return written;
  return finish_wipe(state, partition);
}

Result<void> finish_wipe(KeyValue& state, Partition partition) {
  const auto marker = state.get(Family::meta, state::meta_key(partition, state::wiping));
  if (!marker) return marker.error();
  if (!*marker) return {};
  for (const auto family : {Family::index, Family::seen, Family::parked})
    if (const auto wiped = wipe_family(state, family, state::prefix(partition)); !wiped) return wiped;
  Changes rest;  // the marker goes with the positions
  for (const auto name : {state::requests_position, state::feedback_position, state::parked_position,
                          state::accepted_max, state::ledger, state::wiping})
    rest.erase(Family::meta, state::meta_key(partition, name));
  return state.write(rest);
}

}  // namespace assay
