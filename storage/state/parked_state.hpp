#pragma once
// The parked of a partition, in three key spaces (state_keys.hpp): by record_id, by what they wait for in the order of
// release, and by the time they expire at. The three are written and erased together.
#include <functional>
#include <vector>

#include "storage/records/parked_record.hpp"
#include "storage/state/key_value.hpp"

namespace assay {

void park(Changes& changes, Partition partition, const ParkedRecord& parked);
void unpark(Changes& changes, Partition partition, const ParkedRecord& parked);

// What these records of the changelog make of the state, of what is left of the dead (remains_state.hpp) as well: of a
// key the last one decides. What can't be read is left out, and logged. Returns by how many more are parked afterwards.
Result<std::int64_t> replay_parked(const KeyValue& state, Partition partition, std::span<const LogRecord> records,
                                   Changes& changes);

// What is parked under these record_ids, in their order. Error::corrupt when a value can't be read.
Result<std::vector<std::optional<ParkedRecord>>> find_parked(const KeyValue& state, Partition partition,
                                                             std::span<const std::string> record_ids);

// The record_ids that wait for `id`, in the order of release, at most `most`.
Result<std::vector<std::string>> waiting_for(const KeyValue& state, Partition partition, std::string_view id,
                                             std::size_t most);

// Ids that something waits for, each once, ascending in the order of their keys, at most `most`; only those behind
// `after`, unless it is empty.
Result<std::vector<std::string>> awaited_ids(const KeyValue& state, Partition partition, std::string_view after,
                                             std::size_t most);

// The record_ids whose time is up at `now`, the oldest first, at most `most`.
Result<std::vector<std::string>> expired_at(const KeyValue& state, Partition partition, Instant now, std::size_t most);

// When the next one expires.
Result<std::optional<Instant>> next_expiry(const KeyValue& state, Partition partition);

// How many are parked: walks them all.
Result<std::int64_t> count_parked(const KeyValue& state, Partition partition);

}  // namespace assay
