#include "ingest/mlflow/parked_assessment.hpp"

#include <map>

#include "ingest/mlflow/pending.hpp"
#include "storage/records/assessment_record.hpp"
#include "storage/state/parked_state.hpp"

namespace assay {
namespace {

constexpr std::size_t looked_at_max = 4096;  // of what waits for one trace

}  // namespace

Target target_of(const std::string& trace_id) {
  if (auto request = pending::request_of(trace_id)) return {Target::Kind::client_request_id, std::move(*request)};
  return {Target::Kind::trace_id, trace_id};
}

Result<std::optional<Store::Assessment>> parked_assessment(const MlflowDoor& door, const std::string& trace_id,
                                                           const std::string& assessment_id) {
  const auto target = target_of(trace_id).id;
  const auto partition = partition_of(target, door.log.partitions(Stream::feedback));
  const auto& kv = door.view->kv();
  const auto ids = waiting_for(kv, partition, target, looked_at_max);
  if (!ids) return ids.error();
  const auto waiting = find_parked(kv, partition, *ids);
  if (!waiting) return waiting.error();
  std::map<std::string, AssessmentRow> rows;
  for (const auto& parked : *waiting) {
    if (!parked) continue;  // released meanwhile
    const auto forwarded = forward(parked->item, parked->op, parked->target, parked->accepted_at, trace_id);
    const auto record = parse_assessment_record(*forwarded.value);
    if (!record) return make_error_code(Error::corrupt);
    if (!rows[record->assessment_id].apply(*record, partition, parked->order)) return make_error_code(Error::corrupt);
  }
  const auto found = rows.find(assessment_id);
  if (found == rows.end() || !found->second.base()) return std::optional<Store::Assessment>();
  Store::Assessment out{.id = assessment_id};
  for (const auto& [id, row] : rows) out.valid &= !row.base() || row.base()->overrides != assessment_id;
  out.created_at = found->second.created_at();
  out.row = std::move(found->second);
  return std::optional(std::move(out));
}

}  // namespace assay
