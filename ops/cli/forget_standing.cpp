#include "ops/cli/forget_standing.hpp"

#include "storage/records/assessment_record.hpp"
#include "storage/records/trace_record.hpp"

namespace assay::cli {

void Standing::add_assessment(const LogRecord& record) {
  const auto assessment = parse_assessment_record(record.value);
  if (!assessment) return;
  const auto& id = assessment->assessment_id;
  if (assessment->op == Op::erase) {
    erased_.insert(id);
  } else if (assessment->op == Op::update) {
    assessments_.try_emplace(id, assessment->trace_id);
  } else if (is_said_by(assessment->json, user_)) {
    ids_.assessments.insert(id);
    assessments_[id] = assessment->trace_id;
  }
}

void Standing::add_trace(const LogRecord& record) {
  const auto trace = parse_trace_record(record.value);
  if (!trace) return;
  if (trace->deleted) {
    deleted_.insert(trace->trace_id);
  } else if (is_asked_by(trace->info, user_)) {
    traces_.insert(trace->trace_id);
    ids_.traces.insert(trace->trace_id);
  }
}

void Standing::add_parked(const LogRecord& record) {
  const std::string record_id(record.key);
  parked_.erase(record_id);
  if (record.tombstone) return;
  if (auto found = parked_by(record.value, user_, ids_)) parked_[record_id] = std::move(*found);
}

void Standing::add_catalog(const LogRecord& record) {
  const std::string key(record.key);
  dataset_records_.erase(key);
  if (record.tombstone) {  // of a dataset: its records go with it
    dataset_records_.erase(dataset_records_.lower_bound(key + "/"), dataset_records_.lower_bound(key + "0"));
  } else if (auto found = copied_from(record.value, ids_.traces, user_)) {
    dataset_records_[key] = std::move(*found);
  }
}

// A deleted trace has taken its assessments with it.
SaidBy Standing::said() && {
  SaidBy out;
  for (const auto& [id, trace_id] : assessments_)
    if (!erased_.contains(id) && !deleted_.contains(trace_id)) out.assessments.push_back({id, trace_id});
  for (const auto& id : traces_)
    if (!deleted_.contains(id)) out.traces.push_back(id);
  for (auto& [id, parked] : parked_) out.parked.push_back(std::move(parked));
  for (auto& [key, found] : dataset_records_) out.dataset_records.push_back(std::move(found));
  return out;
}

}  // namespace assay::cli
