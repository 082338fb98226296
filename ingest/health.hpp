#pragma once
// /livez, /readyz and /metrics. Live: the loops make progress. Ready: the log would take an append, and whatever else
// was asked for; never the health of the model or of MLflow, which the log is there to outlive.
#include <functional>
#include <string>
#include <vector>

#include "ingest/http/router.hpp"
#include "ops/runtime/metrics.hpp"
#include "storage/log/event_log.hpp"

namespace assay {

struct ReadyCheck {
  std::string name;
  std::function<Result<void>()> check;  // any thread; must not block
  std::function<bool()> scarce = {};    // ready, but what is not feedback is refused; the same
};

// None of them asks for admission: they must answer when the door is full. All referred to outlives the router.
struct Health {
  std::function<bool()> live;
  std::function<bool()> draining;
  std::vector<ReadyCheck> checks;

  // The first thing that keeps it from being ready; empty: nothing does.
  std::string not_ready() const;
};
void add_health_routes(Router& router, const Health& health, Metrics& metrics);

}  // namespace assay
