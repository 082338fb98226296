#pragma once
// The seen ids of a partition: record_id -> the first offset at which it stands, inside the dedupe window. A function
// of the feedback stream, so whoever writes a record may write its entry with it: the embedded log does for records
// whose ids are derived; the resolver does for the rest. A record is a repeat when its id is seen at another offset.
//
// Key in Family::seen: partition (4 bytes, big-endian), record_id. Value: offset, body hash, accepted_at in ms (8
// bytes, big-endian, each). DO NOT CHANGE.
#include <optional>
#include <string>
#include <string_view>

#include "ops/runtime/clock.hpp"
#include "storage/records/record.hpp"
#include "storage/state/key_value.hpp"

namespace assay {

struct Seen {
  Offset offset = 0;
  std::uint64_t body_hash = 0;
  Instant accepted_at;
  bool operator==(const Seen&) const = default;
};

// The accepted_at of an entry of the embedded log whose record died: outside of any window. It lets that be said again,
// and no other body until a compaction has dropped the entry.
inline constexpr Instant seen_dead{};

inline std::string seen_key(Partition partition, std::string_view record_id) {
  return big_endian(static_cast<std::uint32_t>(partition)).append(record_id);
}

inline std::string encode_seen(const Seen& seen) {
  return big_endian(static_cast<std::uint64_t>(seen.offset)) + big_endian(seen.body_hash) +
         big_endian(static_cast<std::uint64_t>(seen.accepted_at.time_since_epoch().count()));
}

inline std::optional<Seen> decode_seen(std::string_view bytes) {
  if (bytes.size() != 24) return {};
  return Seen{static_cast<Offset>(read_big_endian64(bytes)), read_big_endian64(bytes.substr(8)),
              Instant(std::chrono::milliseconds(static_cast<std::int64_t>(read_big_endian64(bytes.substr(16)))))};
}

// Whether the entry says that the record at `offset` is a repeat: the same id stood at another, earlier offset, inside
// the window, which ends at the largest accepted_at of the partition (the record's own included). An entry of a later
// offset says nothing: the log writes entries ahead of the resolver.
inline bool is_repeat(const Seen& seen, Offset offset, Instant accepted_max, std::chrono::milliseconds window) {
  return seen.offset < offset && seen.accepted_at >= accepted_max - window;
}

// Whether the record at `offset` gets the entry: none is there, or one that has left the window. So the entries are a
// function of the feedback alone, whatever became of the records; but for those of keys on the embedded log, which
// tell of death and of replays (workers/resolver.cpp).
inline bool takes_entry(const std::optional<Seen>& seen, Offset offset, Instant accepted_max,
                        std::chrono::milliseconds window) {
  return !seen || (seen->offset < offset && !is_repeat(*seen, offset, accepted_max, window));
}

// What an entry says of a record that a log is asked to take: the same once more, another body under its id, or, where
// the entry has left the window or died, neither.
enum class SaidBefore : std::uint8_t { no, the_same, otherwise };
inline SaidBefore said_before(const Seen& seen, std::uint64_t body_hash, Instant accepted_at,
                              std::chrono::milliseconds window) {
  const bool same = seen.body_hash == body_hash;
  if (seen.accepted_at == seen_dead ? same : accepted_at - seen.accepted_at > window) return SaidBefore::no;
  return same ? SaidBefore::the_same : SaidBefore::otherwise;
}

// Whether a value of Family::seen may be dropped: all lookups would ignore it. `cutoff`: some accepted_max less the
// window. For a compaction filter: pure, and a value it can't read stays.
inline bool seen_may_go(std::string_view value, Instant cutoff) {
  const auto seen = decode_seen(value);
  return seen && seen->accepted_at < cutoff;
}

}  // namespace assay
