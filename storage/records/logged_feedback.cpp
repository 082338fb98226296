#include "storage/records/logged_feedback.hpp"

#include <algorithm>

namespace assay {

Result<FeedbackRecord, Malformed> parse_logged_feedback(const LogRecord& record) {
  auto feedback = parse_feedback_record(record.value);
  if (feedback && record.at > Instant{}) {
    feedback->accepted_at = std::min(feedback->accepted_at, record.at);
    feedback->replayed_at = std::min(feedback->replayed_at, record.at);
  }
  return feedback;
}

}  // namespace assay
