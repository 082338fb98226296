#include "storage/sinks/poison.hpp"

namespace assay {
namespace {

constexpr std::size_t id_bytes_max = 1024;

bool fits(std::string_view id) { return id.size() <= id_bytes_max && id.find('\0') == id.npos; }

}  // namespace

Result<AssessmentRecord, Malformed> read_assessment(const LogRecord& record) {
  if (record.tombstone) return Malformed{"a tombstone"};
  auto parsed = parse_assessment_record(record.value);
  if (parsed && !(fits(parsed->assessment_id) && fits(parsed->trace_id) && fits(parsed->record_id)))
    return Malformed{"an id is too long or holds a NUL"};
  return parsed;
}

Result<TraceRecord, Malformed> read_trace(const LogRecord& record) {
  if (record.tombstone) return Malformed{"a tombstone"};
  auto parsed = parse_trace_record(record.value);
  if (parsed && !fits(parsed->trace_id)) return Malformed{"trace_id is too long or holds a NUL"};
  return parsed;
}

DeadLetter poison(const LogRecord& record, std::string_view problem, std::string_view step, Instant now) {
  DeadLetter dead;
  dead.record_id = place_id({record.stream, record.partition}, record.offset);
  dead.reason = dead_reason::malformed;
  dead.detail = problem;
  dead.step = step;
  dead.dead_at = now;
  dead.from = {record.stream, record.partition};
  dead.offset = record.offset;
  dead.raw = record.value;
  return dead;
}

}  // namespace assay
