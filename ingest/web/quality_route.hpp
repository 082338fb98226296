#pragma once
// GET /assay/quality?hours=24&experiment=ID-OR-NAME: the guide's figures as JSON (storage/store/report.hpp), for the
// page's Quality tab. Needs a view; without one 501 in words.
//
// Counts what was acknowledged when it was asked. The store has it summed up, but for one that an older version has
// written and that is being summed up: there each trace of the window is read. So counting runs on a thread of its own,
// one at a time, and where it took more than a moment its answer serves all who ask the same within ten times that. A
// few may wait for it; it is given up when whoever asked has gone, and when the door stops.
#include <atomic>
#include <map>
#include <mutex>

#include "ingest/http/query.hpp"
#include "ingest/http/router.hpp"
#include "ops/runtime/side_threads.hpp"
#include "storage/store/view.hpp"

namespace assay {

class QualityRoute {
 public:
  // All outlive this; `view` may be null. `experiment`: of requests that name none.
  QualityRoute(View* view, const Clock& clock, std::string experiment)
      : view_(view), clock_(clock), experiment_(std::move(experiment)) {}

  void add_to(Router& router);
  // What is being counted, or waits for it, is answered 503. Any thread.
  void stop() { stopping_ = true; }

 private:
  struct Window {
    std::string experiment;
    double hours;
    auto operator<=>(const Window&) const = default;
  };
  struct Known {
    Result<std::string> json;
    std::chrono::steady_clock::time_point fresh_until;
  };
  Result<std::string, Rejection> experiment_asked(const Query& query) const;
  Task<Response> get(Request& request);
  Result<std::string> count(const Window& window, std::chrono::steady_clock::time_point until);
  Task<Result<std::string>> counted(const Window& window);
  std::optional<Result<std::string>> known(const Window& window);

  View* const view_;
  const Clock& clock_;
  const std::string experiment_;
  std::mutex mutex_;
  std::map<Window, Known> known_;  // a few: cleared when there are many
  std::atomic<bool> stopping_{false};
  SideThreads aside_{"assay-quality", 1, 8};
};

}  // namespace assay
