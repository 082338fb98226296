#pragma once
// The flags of a real MLflow server behind us, which `serve` and `worker` share, and the sink that they make.
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "ops/cli/options.hpp"
#include "storage/sinks/mlflow_rest.hpp"
#include "storage/sinks/mlflow_sql.hpp"
#include "workers/feeder.hpp"

namespace assay::cli {

struct MlflowOptions {
  MlflowSinkConfig rest;
  MlflowSqlConfig sql;
  FeederConfig feeder;  // its interval 0: none

  void add_to(CLI::App& app);
  // Of these only where the server is, for who reads from it.
  void add_server_to(CLI::App& app);
  // After parsing: what is wrong, in a sentence. Reads the secrets from the environment:
  // ASSAY_MLFLOW_TOKEN, or ASSAY_MLFLOW_USERNAME and ASSAY_MLFLOW_PASSWORD; ASSAY_MLFLOW_DB_PASSWORD.
  std::optional<std::string> settle();

  bool any() const { return !rest.mlflow.url.empty() || !sql.url.empty(); }
  bool feeds() const { return !rest.mlflow.url.empty() && feeder.interval.count() > 0; }
  bool by_sql() const { return !sql.url.empty(); }
};

// The header Authorization of what this process asks MLflow, from the environment (see settle()); empty: none.
std::string mlflow_authorization();

// The sink that the flags ask for; only where any() says so. `source` names the log in the database's positions.
// `local`: what is kept on this machine. All outlive the sink.
std::unique_ptr<AssessmentSink> make_mlflow_sink(const MlflowOptions& options, const std::string& source,
                                                 PositionStore& positions, KeyValue& local,
                                                 MlflowSink::WriteDeadLetter write_dead_letter, const Clock& clock,
                                                 Metrics& metrics);

// The name of the embedded log in `kv`, made at the first call.
Result<std::string> log_identity(KeyValue& kv);

// Looks at the database once: what is wrong with it for good, in a sentence. None also where it is away for now.
std::optional<std::string> refusal_of_database(const MlflowOptions& options, const Clock& clock);

}  // namespace assay::cli
