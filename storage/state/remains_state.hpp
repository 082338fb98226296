#pragma once
// What is left of assessments that died or were taken back, in two key spaces (state_keys.hpp): by assessment_id, and
// by the time at which it is forgotten. The two are written and erased together.
#include <span>
#include <vector>

#include "storage/records/remains_record.hpp"
#include "storage/state/key_value.hpp"

namespace assay {

void put_remains(Changes& changes, Partition partition, const Remains& remains);
void erase_remains(Changes& changes, Partition partition, const Remains& remains);

// What these records of the parked's changelog make of it; those of what waits are passed over.
Result<void> replay_remains(const KeyValue& state, Partition partition, std::span<const LogRecord> records,
                            Changes& changes);

// Of these assessments, in their order. Error::corrupt when a value can't be read.
Result<std::vector<std::optional<Remains>>> find_remains(const KeyValue& state, Partition partition,
                                                         std::span<const std::string> assessment_ids);

// The assessments of which nothing needs to be known at `now` any more, the oldest first, at most `most`.
Result<std::vector<std::string>> remains_over(const KeyValue& state, Partition partition, Instant now,
                                              std::size_t most);

// Whether anything is left of any.
Result<bool> has_remains(const KeyValue& state, Partition partition);

}  // namespace assay
