#include "workers/resolver_metrics.hpp"

namespace assay {

ResolverMetrics::ResolverMetrics(Metrics& metrics, Partition partition)
    : feedback_total(metrics.counter("assay_resolver_feedback_total", "Records of the feedback stream decided")),
      forwarded_total(metrics.counter("assay_resolver_forwarded_total", "Assessments and changes forwarded")),
      duplicate_total(metrics.counter("assay_resolver_duplicate_total", "Repeats left out")),
      parked_total(metrics.counter("assay_resolver_parked_total", "Feedback parked until its trace is known")),
      released_total(metrics.counter("assay_resolver_released_total", "Parked feedback released by its trace")),
      expired_total(metrics.counter("assay_resolver_expired_total", "Parked feedback whose trace never came")),
      deadletter_total(metrics.counter("assay_resolver_deadletter_total", "Dead letters written")),
      annulled_total(metrics.counter("assay_resolver_annulled_total",
                                     "Ended without a dead letter: taken back before its trace came, or a deletion of "
                                     "what never came")),
      conflicts_total(metrics.counter("assay_resolver_conflicts_total", "Keys used again with another body")),
      retold_total(metrics.counter("assay_resolver_retold_total", "Ids that named another trace before")),
      misplaced_total(metrics.counter("assay_requests_misplaced_total",
                                      "Records of assay.requests in a partition that is not their key's by murmur2: "
                                      "feedback that names these ids does not meet them")),
      steps_failed_total(metrics.counter("assay_resolver_steps_failed_total", "Steps aborted or of unknown outcome")),
      opened_total(metrics.counter("assay_resolver_opened_total", "Partitions opened, again after a failed step")),
      trimmed_total(metrics.counter("assay_resolver_trimmed_total",
                                    "Records of the feedback stream that were deleted before they were read")),
      parked_now(metrics.gauge("assay_resolver_parked", "Parked now", {{"partition", std::to_string(partition)}})),
      unaccounted(metrics.gauge("assay_unaccounted",
                                "Feedback logged and decided, but neither forwarded nor a repeat, "
                                "parked or dead",
                                {{"partition", std::to_string(partition)}})),
      lag(metrics.gauge("assay_resolver_lag_records", "Records of requests and feedback in the log, not yet decided",
                        {{"partition", std::to_string(partition)}})),
      behind_seconds(metrics.gauge("assay_resolver_behind_seconds",
                                   "Age of the oldest feedback that is read and not decided; 0 when there is none",
                                   {{"partition", std::to_string(partition)}})),
      step_seconds(metrics.latency("assay_resolver_step_seconds", "One step: fetch, decide, commit")) {}

void ResolverMetrics::committed(const ResolveCounts& counts, const Ledger& ledger, std::int64_t parked,
                                double seconds) {
  const auto add = [](Counter& counter, std::int64_t n) {
    if (n > 0) counter.Increment(static_cast<double>(n));
  };
  add(feedback_total, counts.feedback);
  add(forwarded_total, counts.forwarded);
  add(duplicate_total, counts.duplicate);
  add(parked_total, counts.parked);
  add(released_total, counts.released);
  add(expired_total, counts.expired);
  add(deadletter_total, counts.dead);
  add(annulled_total, counts.annulled);
  add(conflicts_total, counts.conflicts);
  add(retold_total, counts.retold);
  step_seconds.Observe(seconds);
  now(ledger, parked);
}

void ResolverMetrics::now(const Ledger& ledger, std::int64_t parked) {
  parked_now.set(static_cast<double>(parked));
  unaccounted.set(static_cast<double>(ledger.logged - ledger.forwarded - ledger.duplicate - ledger.dead - parked));
}

void ResolverMetrics::given_up() {
  for (auto* gauge : {&parked_now, &unaccounted, &lag, &behind_seconds}) gauge->set(0);
}

}  // namespace assay
