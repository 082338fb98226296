#include "storage/records/logged_feedback.hpp"

#include "storage/records/item_shape.hpp"

namespace assay {

Result<FeedbackRecord, Malformed> parse_logged_feedback(const LogRecord& record) {
  auto feedback = parse_feedback_record(record.value);
  if (feedback)
    for (const auto& item : feedback->items)
      if (auto problem = problem_with_item(item.json, feedback->op)) return Malformed{std::move(*problem)};
  if (feedback && record.at > Instant{}) feedback->logged_by = record.at;
  return feedback;
}

}  // namespace assay
