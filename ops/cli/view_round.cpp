#include "ops/cli/view_round.hpp"

namespace assay::cli {

std::optional<std::int64_t> ViewRound::look() {
  if (!target_) begin();
  if (!decided()) return {};
  if (!target_->ends) {
    auto ends = asks_.ends();
    if (!ends) return {};
    for (const auto& [where, end] : target_->own) (*ends)[where] = end;
    target_->ends = std::move(*ends);
  }
  if (!asks_.followed(*target_->ends)) return {};
  const auto version = target_->version;
  target_.reset();
  return version;
}

void ViewRound::begin() {
  const auto accepted = asks_.accepted();
  target_.emplace();
  target_->version = accepted.version;
  for (const auto& [where, end] : accepted.ends) {
    if (where.stream != Stream::feedback)
      target_->own[where] = end;
    else if (end > 0)  // of an empty one nobody commits
      target_->undecided[where] = end;
  }
}

// The workers have decided what this door had appended to assay.feedback.
bool ViewRound::decided() {
  auto& undecided = target_->undecided;
  if (undecided.empty()) return true;
  std::vector<StreamPartition> asked;
  for (const auto& [where, end] : undecided) asked.push_back(where);
  const auto committed = asks_.committed(asked);
  if (!committed) return false;
  std::erase_if(undecided, [&](const auto& one) {
    const auto at = committed->find(one.first);
    return at != committed->end() && at->second >= one.second;
  });
  return undecided.empty();
}

}  // namespace assay::cli
