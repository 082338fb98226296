#pragma once
// What this door has accepted a moment ago: its receipt says so while the view has not come that far. A bounded memory:
// the oldest goes first.
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "storage/records/feedback_record.hpp"
#include "storage/store/view.hpp"

namespace assay {

// Thread-safe.
class RecentFeedback {
 public:
  explicit RecentFeedback(std::size_t receipts_max = 16 * 1024) : receipts_max_(receipts_max) {}

  // A create; each of its items has a receipt.
  void add(const FeedbackRecord& feedback);
  std::optional<Receipt> find(std::string_view assessment_id) const;

 private:
  struct Accepted {
    Target target;
    Instant at;
  };
  const std::size_t receipts_max_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Accepted> accepted_;
  std::deque<const std::string*> order_;  // keys of accepted_
};

}  // namespace assay
