#pragma once
// What the resolver of one partition counts. What it shows of now goes when it goes: the partition is somebody else's.
#include "ops/runtime/gauge_part.hpp"
#include "ops/runtime/metrics.hpp"
#include "storage/records/record.hpp"
#include "workers/resolver.hpp"

namespace assay {

struct ResolverMetrics {
  ResolverMetrics(Metrics& metrics, Partition partition);
  // After a step was committed. `parked`: entries of the state, counted apart from the ledger's own number.
  void committed(const ResolveCounts& counts, const Ledger& ledger, std::int64_t parked, double seconds);
  void now(const Ledger& ledger, std::int64_t parked);
  void given_up();  // another worker shows it now

  Counter& feedback_total;
  Counter& forwarded_total;
  Counter& duplicate_total;
  Counter& parked_total;
  Counter& released_total;
  Counter& expired_total;
  Counter& deadletter_total;
  Counter& annulled_total;
  Counter& conflicts_total;
  Counter& retold_total;
  Counter& misplaced_total;
  Counter& steps_failed_total;
  Counter& opened_total;
  Counter& trimmed_total;
  GaugePart parked_now, unaccounted, lag, behind_seconds;
  Histogram& step_seconds;
};

}  // namespace assay
