#pragma once
// Reading the records that sinks follow, and what becomes of one that can't be read.
#include "storage/log/event_source.hpp"
#include "storage/records/assessment_record.hpp"
#include "storage/records/dead_letter_record.hpp"
#include "storage/records/trace_record.hpp"

namespace assay {

// Like parse_*, and the ids are such that a sink can keep them: no NUL byte, at most 1,024 bytes. A tombstone is
// Malformed: these streams have none.
Result<AssessmentRecord, Malformed> read_assessment(const LogRecord& record);
Result<TraceRecord, Malformed> read_trace(const LogRecord& record);

// The dead letter of a record that `step` can't read; record_id "<stream>/<partition>/<offset>".
DeadLetter poison(const LogRecord& record, std::string_view problem, std::string_view step, Instant now);

}  // namespace assay
