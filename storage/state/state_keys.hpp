#pragma once
// The keys of a worker's state, but for the seen ids (seen.hpp). All begin with the partition (4 bytes, big-endian), so
// that one database may hold several. DO NOT CHANGE.
//
//   index    id                                                     -> 1 (1), told at, in ms (8), trace_id
//                                                                      or, of version 0.1.0 and where no time is known,
//                                                                      the trace_id alone
//   parked   'r' record_id                                          -> the record's value (records/parked_record.hpp)
//   parked   't' length of id (2), id that it waits for, order (8), record_id  -> ""
//   parked   'e' expires_at in ms (8), record_id                    -> ""
//   parked   'd' assessment_id                                      -> the record's value (records/remains_record.hpp)
//   parked   'f' until in ms (8), assessment_id                     -> ""
//   meta     a name of those below                                  -> a number (8), or the ledger's
#include <optional>
#include <string>
#include <string_view>

#include "ops/runtime/clock.hpp"
#include "storage/records/record.hpp"
#include "storage/state/key_value.hpp"

namespace assay::state {

inline std::string prefix(Partition partition) { return big_endian(static_cast<std::uint32_t>(partition)); }

inline std::string index_key(Partition partition, std::string_view id) { return prefix(partition).append(id); }

inline std::string parked_prefix(Partition partition) { return prefix(partition).append("r"); }
inline std::string parked_key(Partition partition, std::string_view record_id) {
  return parked_prefix(partition).append(record_id);
}
// The record_id, if it is a key of the first of what is parked's three spaces: the other two say the same.
inline std::optional<std::string_view> parked_id(std::string_view key) {
  constexpr std::size_t partition = 4;
  if (key.size() <= partition || key[partition] != 'r') return {};
  return key.substr(partition + 1);
}

inline std::string waiting_prefix(Partition partition) { return prefix(partition).append("t"); }
// The length before the id, because an id may hold any byte and be another one's beginning.
inline std::string waiting_prefix(Partition partition, std::string_view id) {
  auto key = waiting_prefix(partition);
  key += static_cast<char>(id.size() >> 8);
  key += static_cast<char>(id.size());
  return key.append(id);
}
inline std::string waiting_key(Partition partition, std::string_view id, std::int64_t order,
                               std::string_view record_id) {
  return waiting_prefix(partition, id).append(big_endian(static_cast<std::uint64_t>(order))).append(record_id);
}

inline std::string expiry_prefix(Partition partition) { return prefix(partition).append("e"); }
inline std::string at(std::string prefix, Instant time) {
  const auto ms = std::max<std::int64_t>(0, time.time_since_epoch().count());
  return prefix.append(big_endian(static_cast<std::uint64_t>(ms)));
}
inline std::string expiry_prefix(Partition partition, Instant time) { return at(expiry_prefix(partition), time); }
inline std::string expiry_key(Partition partition, Instant time, std::string_view record_id) {
  return expiry_prefix(partition, time).append(record_id);
}

inline std::string remains_key(Partition partition, std::string_view assessment_id) {
  return prefix(partition).append("d").append(assessment_id);
}
inline std::string over_prefix(Partition partition) { return prefix(partition).append("f"); }
inline std::string over_prefix(Partition partition, Instant until) { return at(over_prefix(partition), until); }
inline std::string over_key(Partition partition, Instant until, std::string_view assessment_id) {
  return over_prefix(partition, until).append(assessment_id);
}

inline std::string meta_key(Partition partition, std::string_view name) { return prefix(partition).append(name); }
inline constexpr std::string_view requests_position = "position/requests";
inline constexpr std::string_view feedback_position = "position/feedback";
inline constexpr std::string_view parked_position = "position/parked";
inline constexpr std::string_view accepted_max = "seen/accepted_max";
inline constexpr std::string_view ledger = "ledger";
inline constexpr std::string_view fresh_at = "fresh_at";  // when it was last up to date with the log
inline constexpr std::string_view wiping = "wiping";      // there while a wipe is under way

}  // namespace assay::state
