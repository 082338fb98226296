#include "ingest/mlflow/parked_assessment.hpp"

#include "ingest/feedback/parked_rows.hpp"
#include "ingest/mlflow/pending.hpp"

namespace assay {

Target target_of(const std::string& trace_id) {
  if (auto request = pending::request_of(trace_id)) return {Target::Kind::client_request_id, std::move(*request)};
  return {Target::Kind::trace_id, trace_id};
}

Result<std::optional<Store::Assessment>> parked_assessment(const MlflowDoor& door, const std::string& trace_id,
                                                           const std::string& assessment_id) {
  const auto target = target_of(trace_id).id;
  const auto partition = partition_of(target, door.log.partitions(Stream::feedback));
  auto rows = parked_rows(door.view->kv(), partition, target, trace_id);
  if (!rows) return rows.error();
  const auto found = rows->find(assessment_id);
  if (found == rows->end() || !found->second.base()) return std::optional<Store::Assessment>();
  Store::Assessment out{.id = assessment_id};
  for (const auto& [id, row] : *rows) out.valid &= !row.base() || row.base()->overrides != assessment_id;
  out.created_at = found->second.created_at();
  out.row = std::move(found->second);
  return std::optional(std::move(out));
}

}  // namespace assay
