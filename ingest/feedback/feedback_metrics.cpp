#include "ingest/feedback/feedback_metrics.hpp"

namespace assay {

FeedbackMetrics::FeedbackMetrics(Metrics& metrics)
    : created(metrics.counter("assay_ingest_assessments_total", "Assessments accepted", {{"op", "create"}})),
      changed(metrics.counter("assay_ingest_assessments_total", "Assessments accepted", {{"op", "change"}})),
      repeated(metrics.counter("assay_ingest_repeats_total", "Requests answered as the repeat of an earlier one")),
      conflicts(metrics.counter("assay_ingest_idempotency_conflicts_total", "Keys used again with another body")) {}

}  // namespace assay
