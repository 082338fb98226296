#pragma once
// Says to MLflow what the lanes have: several lanes side by side, as many as do the server good, one lane in its order.
// Trying again what waits takes no more than a quarter of the time, so that what MLflow can take is not kept waiting.
//
// MLflow away or overloaded: a turn fails, and everything stays in its lane. Where it is there, answers other questions
// and fails at one and the same record, that waits alone, and all else goes on. Where MLflow breaks there (a 500 in its
// own words), it is a dead letter after break_max; where it gives no answer of its own (too slow, a proxy's 502 or
// 403), after wait_max: both where MLflow has taken others meanwhile.
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ops/runtime/task.hpp"
#include "storage/sinks/mlflow_rest_lanes.hpp"
#include "storage/sinks/mlflow_rest_writer.hpp"

namespace assay {

// One thread, but for stop().
class MlflowRunner {
 public:
  // Told of each record that ends, and how, while it still is in its lane. On an error it stays there, and is tried
  // again.
  using Ended = std::function<Result<void>(const std::string& trace_id, const mlflow::Lane& lane,
                                           const mlflow::Job& job, const mlflow::Written& how)>;
  // All outlive it.
  MlflowRunner(const MlflowSinkConfig& config, MlflowLanes& lanes, const SinkMarks& marks, MlflowSpans& spans,
               Ended ended, const Clock& clock);

  // A turn of the lanes that are ready. Blocks.
  Result<void> run_ready() { return run({}); }
  // A turn of these, that wait: for a while and a few at a time.
  Result<void> run_retries(std::vector<std::string> due);
  // When MLflow last took something.
  Instant taken_at() const { return writer_.taken_at(); }
  // Thread-safe: a turn ends soon, with Error::stopped. For good.
  void stop();

 private:
  using Job = mlflow::Job;
  using Lane = mlflow::Lane;
  using Outcome = mlflow::Outcome;
  using Written = mlflow::Written;
  struct Turn {
    std::optional<Instant> until = {};  // none: to their end; retries no longer than this
    error_code failure = {};            // it ends
    bool repeat = false;                // something failed by itself: the same again, soon
    std::size_t failed_beside = 0;      // how much of it that did not wait before
    bool is_of_retries() const { return until.has_value(); }
  };
  // Once over a lane's assessments. failed: MLflow did; again: a create came of which a change before it waits.
  enum class Round { done, again, failed };

  Result<void> run(std::optional<Instant> until);
  void add_workers();
  Task<void> work();
  Task<void> run_lane(const std::string& trace_id, Lane& lane);
  Task<bool> run_traces(const std::string& trace_id, Lane& lane);
  Task<Round> run_assessments(const std::string& trace_id, Lane& lane);
  Task<void> tag(const std::string& trace_id, Lane& lane, bool waits);
  bool end(const std::string& trace_id, Lane& lane, mlflow::Jobs::iterator& at, const Written& how);
  Task<Outcome> outcome_of(Lane& lane, mlflow::Trouble& trouble, const Written& said, bool waits);
  Outcome unavailable(const std::string& why);

  const MlflowSinkConfig& config_;
  MlflowLanes& lanes_;
  const Ended ended_;
  const Clock& clock_;
  Turn turn_;
  std::size_t running_ = 0;
  std::atomic<bool> stopped_{false};

  IoContext context_{1};
  std::vector<std::unique_ptr<asio::cancellation_signal>> cancels_;  // one a worker
  std::vector<std::size_t> free_;                                    // those that nobody uses
  MlflowWriter writer_;                                              // before the context that its connections are on
};

}  // namespace assay
