#pragma once
// A trace's spans as MLflow takes them by REST: all at once, in one artifact. Of a long trace no more are said than
// fit, and not for each that comes: they are gathered for a while. One thread.
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "ops/runtime/clock.hpp"
#include "ops/runtime/metrics.hpp"
#include "storage/sinks/sink_marks.hpp"
#include "storage/store/trace_usage.hpp"

namespace assay {

struct MlflowSpansLimits {
  std::size_t bytes_max = 16 << 20;                                   // said of one trace
  std::chrono::milliseconds again_per_mb{1'000}, again_max{600'000};  // for each megabyte that there is; at most
};

class MlflowSpans {
 public:
  // `marks`: has them.
  MlflowSpans(MlflowSpansLimits limits, const SinkMarks& marks, Metrics& metrics);

  struct Artifact {
    std::string json;                               // empty: there are none
    std::vector<SpanUsage> usage;                   // of all; empty where they are too many to be summed
    std::size_t said = 0, left_out = 0, bytes = 0;  // bytes: of all
  };
  // All spans are looked at, and as many are said as there is room for; the last eighth of it is for roots.
  Result<Artifact> read(const std::string& trace_id) const;
  // After it was said: a long trace gathers from now on. One that is not goes on at once.
  void was_said(const std::string& trace_id, const Artifact& artifact, Instant now);
  // Until when; none: it may be said now.
  std::optional<Instant> gathers(const std::string& trace_id, Instant now) const;

 private:
  const MlflowSpansLimits limits_;
  const SinkMarks& marks_;
  std::unordered_map<std::string, Instant> again_at_;  // of long traces
  Counter& left_out_total_;
};

}  // namespace assay
