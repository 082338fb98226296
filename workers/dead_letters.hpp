#pragma once
// The dead letters that the resolver writes.
#include "storage/records/dead_letter_record.hpp"
#include "storage/records/parked_record.hpp"

namespace assay {

// Its trace never came. Keyed by its record_id. None is written of what was taken back.
DeadLetter letter_of_expired(const ParkedRecord& parked, Partition partition, Instant now);

// Its record_id stands for another body already. Keyed by conflict_id().
DeadLetter letter_of_conflict(const FeedbackRecord& record, const FeedbackItem& item, StreamPartition from,
                              std::int64_t order, Instant now);

// The bytes are no record. Keyed by where they stand.
DeadLetter letter_of_unreadable(std::string_view raw, std::string reason, StreamPartition from, Offset offset,
                                Instant now);

}  // namespace assay
