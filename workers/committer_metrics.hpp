#pragma once
// Of one committer; all of one sink in this process show together.
#include <string_view>

#include "ops/runtime/gauge_part.hpp"
#include "ops/runtime/metrics.hpp"
#include "storage/sinks/sink_ledger.hpp"

namespace assay {

struct CommitterMetrics {
  CommitterMetrics(Metrics& metrics, std::string_view sink);

  // What has become of records between the two. A sink that keeps its ledger goes on counting where it was.
  void count(const SinkLedger& before, const SinkLedger& now);

  Counter &applied, &duplicate, &held, &dead, &failures, &trimmed;
  GaugePart unaccounted, lag, behind_seconds;
  Histogram& batch_seconds;
};

}  // namespace assay
