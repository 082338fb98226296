#include "ops/cli/serve_mlflow.hpp"

#include "ops/cli/sink_acts.hpp"

namespace assay::cli {

using namespace std::chrono_literals;

ServeMlflow::ServeMlflow(const MlflowOptions& options, const Parts& parts)
    : options_(options), parts_(parts), positions_(parts.db, "mlflow") {}

std::optional<std::string> ServeMlflow::open() {
  if (!options_.any()) return {};
  if (const auto refused = refusal_of_database(options_, parts_.clock)) return "--mlflow-db: " + *refused;
  const auto replay = "`assay sinks replay mlflow --data " + parts_.directory + "`, and a restart";
  auto noted = begin_anew_if_asked(parts_.db, parts_.clock.now());
  if (noted) noted = note_mlflow_server(parts_.db, options_, replay);
  if (!noted) return "the sink's positions: " + noted.error().message();
  const auto source = log_identity(parts_.db);
  if (!source) return "the log's identity: " + source.error().message();
  auto write_dead_letter = [&acts = parts_.acts](DeadLetter dead) { return acts.write_dead_letter(std::move(dead)); };
  sink_ = make_mlflow_sink(options_, *source, positions_, parts_.db, std::move(write_dead_letter), parts_.clock,
                           parts_.metrics);
  CommitterOptions how{.stuck_after = remote_stuck_after};
  how.end_of_own_log = [&log = parts_.log](StreamPartition where) { return log.end(where); };
  committer_ = std::make_unique<Committer>(parts_.log, *sink_, parts_.metrics, std::move(how));
  parts_.view.add_sink("mlflow", *sink_);
  if (!options_.feeds()) return {};
  FeederIndex index{.states = [&db = parts_.db](const FeederIndex::Visit& visit) { visit(0, db); },
                    .applied = [&view = parts_.view] { return view.applied(2s); }};
  feeder_ =
      std::make_unique<Feeder>(options_.feeder, parts_.log, parts_.db, parts_.clock, parts_.metrics, std::move(index));
  return {};
}

void ServeMlflow::start() {
  if (committer_) committer_->start();
  if (feeder_) feeder_->start();
}

void ServeMlflow::stop() {
  if (feeder_) feeder_->stop();
  if (committer_) committer_->stop();
}

bool ServeMlflow::stuck() const { return (committer_ && committer_->stuck()) || (feeder_ && feeder_->stuck()); }

}  // namespace assay::cli
