#pragma once
// Which server the MLflow sink's positions are of, beside them: another one has nothing of what was committed before,
// or it is the same under a new name. Which of both only its owner knows, so it is said, and nothing is begun anew
// until that is asked for.
//
// In Family::meta: "sink/mlflow/server": the server's URL, or "postgresql" (that database has its positions itself).
// "sink/mlflow/again": the next start of `assay serve` begins anew. DO NOT CHANGE.
#include <optional>
#include <string>

#include "ops/cli/mlflow_options.hpp"

namespace assay::cli {

// The URL of the server before, where that is another one. From now on it is the one of the flags.
Result<std::optional<std::string>> take_mlflow_server(KeyValue& db, const MlflowOptions& options);
// The same, and says it in the log. `replay`: the command that begins anew.
Result<void> note_mlflow_server(KeyValue& db, const MlflowOptions& options, const std::string& replay);

// What `assay sinks replay` asks of the process that owns the data. A line: replay-sink NAME. Thread-safe.
class SinkActs {
 public:
  explicit SinkActs(KeyValue& db) : db_(db) {}
  static bool knows(const std::string& line) { return line.starts_with("replay-sink "); }
  // "ok" or "error SENTENCE".
  std::string answer(const std::string& line) const;

 private:
  KeyValue& db_;
};

// Before the sink and the feeder are there: where it was asked for, the sink has come nowhere, and the feeder looks
// back as far as at its first time, unless it has been away for longer.
Result<void> begin_anew_if_asked(KeyValue& db, Instant now);

}  // namespace assay::cli
