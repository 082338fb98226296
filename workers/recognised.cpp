#include "workers/recognised.hpp"

#include <string>
#include <vector>

#include "storage/state/seen.hpp"

namespace assay {

Result<void> Recognised::look_at(std::span<const LogRecord> records, const KeyValue& state, Partition partition,
                                 const ResolvePolicy& policy, const Meta& meta) {
  std::vector<std::string> ids;
  std::vector<Offset> offsets;
  for (const auto& record : records) {
    const auto parsed = read_feedback(record, policy);
    const bool has_entry = parsed && !parsed->items.empty() && (parsed->op == Op::create || parsed->items.size() == 1);
    if (!has_entry || parsed->logged_at() < meta.accepted_max - policy.dedupe_window) continue;
    ids.push_back(parsed->items.front().record_id);
    offsets.push_back(record.offset);
  }
  const auto found = find_seen(state, partition, ids);
  if (!found) return found.error();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto& seen = (*found)[i];
    if (seen && seen->offset >= meta.feedback) continue;
    is_another_log_ = !seen || seen->offset > offsets[i];
    if (seen && seen->offset == offsets[i]) decided_ = offsets[i] + 1;
  }
  return {};
}

}  // namespace assay
