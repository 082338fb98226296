#pragma once
// A trace's spans as MLflow takes them: by OTLP, in one request after the other, or, before 3.4, all at once in one
// artifact. In that no more of a long trace are said than fit, and not for each that comes: they are gathered for a
// while. By OTLP all are said, and of a long trace that has been said those that come later alone. One thread.
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "ops/runtime/clock.hpp"
#include "ops/runtime/metrics.hpp"
#include "storage/sinks/sink_marks.hpp"
#include "storage/store/trace_usage.hpp"

namespace assay {

struct MlflowSpansLimits {
  std::size_t bytes_max = 16 << 20;                                   // said of one trace
  std::chrono::milliseconds again_per_mb{1'000}, again_max{600'000};  // for each megabyte that there is; at most
  std::size_t request_bytes_max = 4 << 20;                            // by OTLP, of more than one span
  std::chrono::milliseconds sent_again_per_mb{20};                    // to sum up what they used, all are read again
};

class MlflowSpans {
 public:
  // `marks`: has them.
  MlflowSpans(MlflowSpansLimits limits, const SinkMarks& marks, Metrics& metrics);

  struct Artifact {
    std::string json;                               // empty: there are none
    std::vector<SpanUsage> usage;                   // of all; empty where they are too many to be summed
    std::size_t said = 0, left_out = 0, bytes = 0;  // bytes: of all
    bool has_root = false;
    void leave_out() { left_out += std::exchange(said, 0); }  // all of them
  };
  // All spans are looked at, and as many are said as there is room for; the last eighth of it is for roots.
  Result<Artifact> read(const std::string& trace_id) const;
  // After it was said: a long trace gathers from now on. One that is not goes on at once.
  void was_said(const std::string& trace_id, const Artifact& artifact, Instant now);

  // One request of several. `last`: the span after which the next one begins; none: there is no next one.
  struct Request {
    std::string body;  // empty: there is nothing to say
    std::optional<std::string> last;
    std::optional<std::int64_t> first_ms, last_ms;  // from the first start to the last end
  };
  // The spans behind `after`: of a long trace whose others were sent those of `news` alone. Those that OTLP has no form
  // for are left out.
  Result<Request> request(const std::string& trace_id, const std::string& otlp_trace_id, const std::string& after,
                          const std::set<std::string>& news);
  // All of them, `bytes` long.
  void was_sent(const std::string& trace_id, std::size_t bytes, Instant now);
  // What came of it was not said: the next time all are.
  void was_lost(const std::string& trace_id) { sent_.erase(trace_id); }

  // Until when; none: it may be said now.
  std::optional<Instant> gathers(const std::string& trace_id, Instant now) const;

 private:
  void gather(const std::string& trace_id, std::size_t bytes, std::chrono::milliseconds per_mb, Instant now);

  const MlflowSpansLimits limits_;
  const SinkMarks& marks_;
  std::unordered_map<std::string, Instant> again_at_;  // of long traces
  std::unordered_set<std::string> sent_;               // long traces of which MLflow has what came until then
  Counter& left_out_total_;
};

}  // namespace assay
