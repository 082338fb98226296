#include "ingest/feedback/parked_rows.hpp"

#include "storage/records/assessment_record.hpp"
#include "storage/state/parked_state.hpp"

namespace assay {
namespace {

constexpr std::size_t looked_at_max = 4096;  // of what waits for one id

}  // namespace

Result<std::map<std::string, AssessmentRow>> parked_rows(const KeyValue& kv, Partition partition,
                                                         const std::string& waits_for, std::string_view trace_id) {
  const auto ids = waiting_for(kv, partition, waits_for, looked_at_max);
  if (!ids) return ids.error();
  const auto waiting = find_parked(kv, partition, *ids);
  if (!waiting) return waiting.error();
  std::map<std::string, AssessmentRow> rows;
  for (const auto& parked : *waiting) {
    if (!parked) continue;  // released meanwhile
    const auto forwarded = forward(parked->item, parked->op, parked->target, parked->accepted_at, trace_id);
    const auto record = parse_assessment_record(*forwarded.value);
    if (record) (void)rows[record->assessment_id].apply(*record, partition, parked->order);
  }
  return rows;
}

}  // namespace assay
