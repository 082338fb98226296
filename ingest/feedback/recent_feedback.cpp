#include "ingest/feedback/recent_feedback.hpp"

namespace assay {

void RecentFeedback::add(const FeedbackRecord& feedback) {
  std::scoped_lock lock(mutex_);
  for (const auto& item : feedback.items) {
    const auto [at, added] = accepted_.try_emplace(item.assessment_id, feedback.target, feedback.accepted_at);
    if (added) order_.push_back(&at->first);
  }
  for (; order_.size() > receipts_max_; order_.pop_front()) accepted_.erase(*order_.front());
}

std::optional<Receipt> RecentFeedback::find(std::string_view assessment_id) const {
  std::scoped_lock lock(mutex_);
  const auto at = accepted_.find(std::string(assessment_id));
  if (at == accepted_.end()) return {};
  const auto& [target, accepted_at] = at->second;
  Receipt receipt{.assessment_id = at->first, .state = Receipt::State::accepted};
  (target.kind == Target::Kind::trace_id ? receipt.trace_id : receipt.client_request_id) = target.id;
  receipt.accepted_at = accepted_at;
  return receipt;
}

}  // namespace assay
