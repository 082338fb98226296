#include "ingest/feedback/feedback_metrics.hpp"

namespace assay {

FeedbackMetrics::FeedbackMetrics(Metrics& metrics)
    : created(metrics.counter("assay_ingest_assessments_total", "Assessments accepted", {{"op", "create"}})),
      changed(metrics.counter("assay_ingest_assessments_total", "Assessments accepted", {{"op", "change"}})),
      repeated(metrics.counter("assay_ingest_repeats_total", "Requests answered as the repeat of an earlier one")),
      conflicts(metrics.counter("assay_ingest_idempotency_conflicts_total", "Keys used again with another body")) {}

void FeedbackMetrics::count(Op op, Appended::Outcome outcome, std::size_t assessments) const {
  switch (outcome) {
    case Appended::Outcome::appended:
      (op == Op::create ? created : changed).Increment(static_cast<double>(assessments));
      return;
    case Appended::Outcome::duplicate:
      repeated.Increment();
      return;
    case Appended::Outcome::conflict:
      conflicts.Increment();
      return;
  }
}

}  // namespace assay
