#include "ops/cli/mlflow_options.hpp"

#include <cstdlib>

#include "ops/cli/file_options.hpp"
#include "ops/runtime/base64.hpp"
#include "ops/runtime/http_client.hpp"
#include "ops/runtime/ids.hpp"

namespace assay::cli {
namespace {

std::string from_environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

}  // namespace

void MlflowOptions::add_server_to(CLI::App& app) {
  app.add_option("--mlflow-url", rest.mlflow.url, "A real MLflow server that assessments and traces are committed to");
  app.add_option("--mlflow-ca-file", rest.mlflow.ca_file, "Certificates (PEM) to trust beside the system's");
}

void MlflowOptions::add_to(CLI::App& app) {
  add_server_to(app);
  app.add_option("--mlflow-experiment", rest.mlflow.experiment, "Its experiment for traces that name none")
      ->capture_default_str();
  app.add_option("--mlflow-requests-max", rest.requests_max, "Requests to it at once; how many run adapts below this")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app.add_option("--mlflow-writes-per-second", rest.mlflow.writes_per_second, "Its limit on writes; 0: none")
      ->check(CLI::Range(0, 1'000'000))
      ->capture_default_str();
  app.add_option("--mlflow-reads-per-second", rest.mlflow.reads_per_second, "Its limit on reads; 0: none")
      ->check(CLI::Range(0, 1'000'000))
      ->capture_default_str();
  add_duration(app, "--mlflow-feed-interval", feeder.interval,
               "How often to look in it for traces that were logged there past us; 0s: never");
  app.add_option("--mlflow-db", sql.url,
                 "Its PostgreSQL, postgresql://USER@HOST/DB: commit straight into its tables instead of by REST");
}

std::optional<std::string> MlflowOptions::settle() {
  rest.mlflow.authorization = mlflow_authorization();
  if (!rest.mlflow.url.empty())
    if (auto problem = problem_with_url("--mlflow-url", rest.mlflow.url)) return problem;
  if (auto problem = problem_with_ca_file("--mlflow-ca-file", rest.mlflow.ca_file)) return problem;
  if (!sql.url.empty())
    if (const auto problem = problem_with_conninfo(sql.url)) return "--mlflow-db: " + *problem;
  while (rest.mlflow.url.ends_with('/')) rest.mlflow.url.pop_back();
  sql.password = from_environment("ASSAY_MLFLOW_DB_PASSWORD");
  feeder.mlflow = rest.mlflow;
  sql.experiment = rest.mlflow.experiment;
  return {};
}

std::string mlflow_authorization() {
  const auto token = from_environment("ASSAY_MLFLOW_TOKEN");
  if (!token.empty()) return "Bearer " + token;
  const auto user = from_environment("ASSAY_MLFLOW_USERNAME");
  if (user.empty()) return {};
  return "Basic " + to_base64(user + ":" + from_environment("ASSAY_MLFLOW_PASSWORD"));
}

std::unique_ptr<AssessmentSink> make_mlflow_sink(const MlflowOptions& options, const std::string& source,
                                                 PositionStore& positions, KeyValue& local,
                                                 MlflowSink::WriteDeadLetter write_dead_letter, const Clock& clock,
                                                 Metrics& metrics) {
  if (!options.by_sql())
    return std::make_unique<MlflowSink>(options.rest, positions, local, std::move(write_dead_letter), clock, metrics);
  auto config = options.sql;
  config.source = source;
  return std::make_unique<MlflowSqlSink>(std::move(config), &positions, std::move(write_dead_letter), clock, metrics);
}

Result<std::string> log_identity(KeyValue& kv) {
  const std::string key = "log/identity";
  const auto known = kv.get(Family::meta, key);
  if (!known) return known.error();
  if (*known) return **known;
  Changes changes;
  const auto identity = random_id("log-");
  changes.put(Family::meta, key, identity);
  if (const auto written = kv.write(changes); !written) return written.error();
  return identity;
}

std::optional<std::string> refusal_of_database(const MlflowOptions& options, const Clock& clock) {
  if (!options.by_sql()) return {};
  Metrics unused;
  auto config = options.sql;
  config.limits.connect = std::chrono::seconds(5);
  return MlflowSqlSink(std::move(config), nullptr, {}, clock, unused).refusal();
}

}  // namespace assay::cli
