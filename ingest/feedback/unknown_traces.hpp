#pragma once
// `--unknown-trace=reject`: whether a door may say that there is no such trace.
#include <chrono>
#include <vector>

#include "ingest/feedback/recent_traces.hpp"
#include "ingest/proxy/traces_behind.hpp"
#include "ops/runtime/clock.hpp"
#include "storage/log/event_log.hpp"
#include "storage/store/view.hpp"

namespace assay {

// Thread-safe. Everything given outlives it.
class UnknownTraces {
 public:
  // `view` or `behind` may be null, not both.
  UnknownTraces(View* view, TracesBehind* behind, RecentTraces& recent, EventLog& log, const Clock& clock,
                std::chrono::milliseconds view_wait)
      : view_(view), behind_(behind), recent_(recent), log_(log), clock_(clock), view_wait_(view_wait) {}

  // Of each, true: this door has not made it, the view does not have it though it has applied all that was acknowledged
  // before, and the MLflow behind says that it has none. False also where one of them can't be asked: what may be there
  // is not refused. Traces that only MLflow knows are told to assay.requests, so that their feedback finds them.
  Task<std::vector<bool>> surely(std::vector<Target> targets);

 private:
  bool known(const Target& target) const;
  // The positions of those that aren't.
  std::vector<std::size_t> missing(const std::vector<Target>& targets) const;
  Task<void> tell(std::vector<std::pair<std::string, std::string>> ids_and_traces);

  View* const view_;
  TracesBehind* const behind_;
  RecentTraces& recent_;
  EventLog& log_;
  const Clock& clock_;
  const std::chrono::milliseconds view_wait_;
};

}  // namespace assay
