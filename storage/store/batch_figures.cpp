// What a batch changes of the figures (aggregates.hpp).
#include <unordered_set>

#include "storage/store/batch.hpp"
#include "storage/store/trace_index.hpp"

namespace assay {

// Of each trace that an assessment was said of before, or is now, or that is told of.
Result<void> StoreBatch::load_shares(std::span<const AssessmentRecord> assessments,
                                     std::span<const TraceRecord> traces) {
  std::unordered_set<std::string> names;
  for (const auto& record : assessments) names.insert(record.trace_id);
  for (const auto& record : traces) names.insert(record.trace_id);
  for (const auto& [id, assessment] : assessments_)
    if (assessment.kind == Kind::row) names.insert(assessment.trace_id);
  std::erase_if(names, [this](const std::string& name) { return !summed_up_(name); });
  return aggregates_.load({names.begin(), names.end()});
}

// What the batch has changed of the figures.
Result<void> StoreBatch::sum_up(Changes& out) {
  std::unordered_set<std::string> anew;
  const auto add = [&](const std::string& trace_id, const Said& said, bool overrides, int sign) {
    auto* share = aggregates_.find(trace_id);
    if (!share) return;
    if (overrides || share->overrides)
      anew.insert(trace_id);
    else
      share->said.add(said, sign);
  };
  for (const auto& [id, assessment] : assessments_) {
    if (!assessment.changed) continue;
    if (assessment.kind == Kind::row) add(assessment.trace_id, assessment.said, false, -1);
    if (const auto& base = assessment.row.base())
      add(assessment.new_trace_id, said_in(assessment.row), !base->overrides.empty(), 1);
  }
  for (const auto& [id, trace] : traces_)
    if (auto* share = trace.changed ? aggregates_.find(id) : nullptr)
      share->place = trace_index::place_in(trace.new_index_keys, id);
  for (const auto& id : anew)
    if (const auto summed = sum_up_anew(id, *aggregates_.find(id)); !summed) return summed;
  return aggregates_.finish(out);
}

// Where one assessment overrides another: those of the database with what the batch has made of them.
Result<void> StoreBatch::sum_up_anew(const std::string& trace_id, Share& share) const {
  const auto kept = Store(kv_).assessments_of(trace_id);
  if (!kept) return kept.error();
  auto rows = rows_of(*kept);
  for (const auto& [id, assessment] : assessments_) {
    if (!assessment.changed) continue;
    if (assessment.row.base() && assessment.new_trace_id == trace_id)
      rows[id] = &assessment.row;
    else
      rows.erase(id);
  }
  share = share_of(std::move(share.place), rows);
  return {};
}

}  // namespace assay
