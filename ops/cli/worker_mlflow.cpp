#include "ops/cli/worker_mlflow.hpp"

#include <algorithm>

#include "ops/cli/sink_acts.hpp"

namespace assay::cli {

std::optional<std::string> WorkerMlflow::open(const std::string& source, SharedSink::Failed failed) {
  if (!options_.any()) return {};
  if (const auto refused = refusal_of_database(options_, parts_.clock)) return "--mlflow-db: " + *refused;
  const std::string replay = "with the workers stopped, `assay sinks replay mlflow --kafka …`";
  if (const auto noted = note_mlflow_server(parts_.local, options_, replay); !noted)
    return "the sink's server: " + noted.error().message();
  auto make = [this, source](PositionStore& positions) {
    auto write_dead_letter = [this](DeadLetter dead) { return parts_.acts.write_dead_letter(std::move(dead)); };
    return make_mlflow_sink(options_, source, positions, parts_.local, std::move(write_dead_letter), parts_.clock,
                            parts_.metrics);
  };
  auto owns = [this](const std::vector<Partition>& partitions) { this->owns(partitions); };
  auto sink = SharedSink::open(parts_.kafka, "mlflow", parts_.sources, std::move(make), std::move(owns), parts_.metrics,
                               std::move(failed));
  if (!sink) return sink.error();
  sink_ = std::move(*sink);
  return {};
}

void WorkerMlflow::owns(const std::vector<Partition>& partitions) {
  end_feeder();
  if (options_.feeds() && std::find(partitions.begin(), partitions.end(), 0) != partitions.end()) feed();
}

void WorkerMlflow::feed() {
  auto feeder = std::make_unique<Feeder>(options_.feeder, parts_.log, parts_.local, parts_.clock, parts_.metrics);
  feeder->start();
  std::scoped_lock lock(feeder_mutex_);
  feeder_ = std::move(feeder);
}

void WorkerMlflow::end_feeder() {
  std::unique_ptr<Feeder> ending;
  {
    std::scoped_lock lock(feeder_mutex_);
    ending = std::move(feeder_);
  }
  if (!ending) return;
  auto context = ending->context();
  ending.reset();  // waits for it, and nobody for the lock
  ended_in_ = std::move(context);
}

bool WorkerMlflow::stuck() const {
  if (sink_ && sink_->stuck()) return true;
  std::scoped_lock lock(feeder_mutex_);
  return feeder_ && feeder_->stuck();
}

}  // namespace assay::cli
