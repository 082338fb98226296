#pragma once
// The MLflow behind `assay worker`: the sink that all workers share by partitions, and the feeder, which the worker
// that has partition 0 runs for all. Where the flags name none there is none of these, and nothing is done.
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "ops/cli/dead_letter_acts.hpp"
#include "ops/cli/mlflow_options.hpp"
#include "storage/log/event_log.hpp"
#include "workers/shared_sink.hpp"

namespace assay::cli {

class WorkerMlflow {
 public:
  struct Parts {
    const KafkaConfig& kafka;
    EventSources& sources;
    EventLog& log;
    KeyValue& local;
    const DeadLetterActs& acts;
    const Clock& clock;
    Metrics& metrics;
  };
  // All outlives it.
  WorkerMlflow(const MlflowOptions& options, const Parts& parts) : options_(options), parts_(parts) {}

  // Joins the sink's group. `source` names the log in the database's positions; `failed`: see SharedSink. What stands
  // against it, in a sentence.
  std::optional<std::string> open(const std::string& source, SharedSink::Failed failed);
  // Leaves the group, behind the batch in hand.
  void leave() { sink_.reset(); }

  // For /livez. Thread-safe.
  bool stuck() const;

 private:
  void owns(const std::vector<Partition>& partitions);
  void feed();
  void end_feeder();

  const MlflowOptions& options_;
  const Parts parts_;
  mutable std::mutex feeder_mutex_;      // of the pointer, against stuck()
  std::unique_ptr<Feeder> feeder_;       // the group's thread begins and ends it
  std::shared_ptr<IoContext> ended_in_;  // of the last one: who woke it at its end may still be about that
  std::unique_ptr<SharedSink> sink_;     // goes first: its group's last callback ends the feeder
};

}  // namespace assay::cli
