#include "storage/records/logged_feedback.hpp"

namespace assay {

Result<FeedbackRecord, Malformed> parse_logged_feedback(const LogRecord& record) {
  auto feedback = parse_feedback_record(record.value);
  if (feedback && record.at > Instant{}) feedback->logged_by = record.at;
  return feedback;
}

}  // namespace assay
