#pragma once
// What is counted of assessments, whichever door they come by.
#include "ops/runtime/metrics.hpp"

namespace assay {

struct FeedbackMetrics {
  explicit FeedbackMetrics(Metrics& metrics);
  Counter &created, &changed, &repeated, &conflicts;
};

}  // namespace assay
