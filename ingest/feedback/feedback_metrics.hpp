#pragma once
// What is counted of assessments, whichever door they come by.
#include "ops/runtime/metrics.hpp"
#include "storage/log/event_log.hpp"
#include "storage/records/feedback_record.hpp"

namespace assay {

struct FeedbackMetrics {
  explicit FeedbackMetrics(Metrics& metrics);
  // What has become of an append of so many assessments in one record: a repeat, or a conflict, is one request's.
  void count(Op op, Appended::Outcome outcome, std::size_t assessments = 1) const;

  Counter &created, &changed, &repeated, &conflicts;
};

}  // namespace assay
