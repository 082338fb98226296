#pragma once
#include "storage/records/feedback_record.hpp"
#include "storage/records/record.hpp"

namespace assay {

// As parse_feedback_record(), of what stands in a log, where other programs write, too: see item_shape.hpp. Where that
// keeps when it was given a record (Kafka), nobody can have accepted the record later: one that claims so would end the
// dedupe window of its whole partition.
Result<FeedbackRecord, Malformed> parse_logged_feedback(const LogRecord& record);

}  // namespace assay
