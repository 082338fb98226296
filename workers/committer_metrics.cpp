#include "workers/committer_metrics.hpp"

namespace assay {
namespace {

Metrics::Labels of(std::string_view sink) { return {{"sink", std::string(sink)}}; }

Counter& records(Metrics& metrics, std::string_view sink, const char* outcome) {
  return metrics.counter("assay_sink_records_total", "Records of assay.assessments by what became of them",
                         {{"sink", std::string(sink)}, {"outcome", outcome}});
}

}  // namespace

CommitterMetrics::CommitterMetrics(Metrics& metrics, std::string_view sink)
    : applied(records(metrics, sink, "applied")),
      duplicate(records(metrics, sink, "duplicate")),
      held(records(metrics, sink, "held")),
      dead(records(metrics, sink, "dead")),
      failures(metrics.counter("assay_sink_failures_total", "Turns that failed and are tried again", of(sink))),
      trimmed(metrics.counter("assay_sink_trimmed_total",
                              "Records that were deleted by age before the sink had read them", of(sink))),
      unaccounted(metrics.gauge("assay_sink_unaccounted",
                                "Records of assay.assessments read, but neither applied nor a duplicate, held, "
                                "dead or waiting",
                                of(sink))),
      lag(metrics.gauge("assay_sink_lag_records", "Records in the log that the sink has not applied", of(sink))),
      behind_seconds(metrics.gauge("assay_sink_behind_seconds",
                                   "Age of the oldest record of the batch in hand; 0 when nothing is left to apply",
                                   of(sink))),
      batch_seconds(metrics.latency("assay_sink_batch_seconds", "Time to apply one batch", of(sink))) {}

void CommitterMetrics::count(const SinkLedger& before, const SinkLedger& now) {
  const auto add = [](Counter& counter, std::int64_t was, std::int64_t is) {
    if (is > was) counter.Increment(static_cast<double>(is - was));
  };
  add(applied, before.applied, now.applied);
  add(duplicate, before.duplicate, now.duplicate);
  add(held, before.held, now.held);
  add(dead, before.dead, now.dead);
}

}  // namespace assay
