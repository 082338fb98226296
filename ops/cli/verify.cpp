#include "storage/view/verify.hpp"

#include "ops/cli/kafka_verify.hpp"
#include "ops/cli/local_store.hpp"
#include "ops/cli/mlflow_options.hpp"
#include "ops/cli/mlflow_verify.hpp"
#include "storage/state/partition_state.hpp"

namespace assay::cli {
namespace {

// How far the sink has come.
Result<std::map<StreamPartition, Offset>> mlflow_positions(LocalStore& local) {
  std::map<StreamPartition, Offset> out;
  for (const auto stream : {Stream::assessments, Stream::traces})
    for (Partition p = 0; p < local.log().partitions(stream); ++p) {
      const StreamPartition of{stream, p};
      const auto next = load_position(local.db(), "mlflow", of);
      if (!next) return next.error();
      out[of] = *next;
    }
  return out;
}

}  // namespace

int verify(std::vector<std::string> args) {
  CLI::App app("Recounts every record of the log against the sinks and says what is unaccounted for", "assay verify");
  std::string data = "assay-data", output = "text";
  KafkaVerify on_kafka;
  MlflowOptions mlflow;
  app.add_option(
         "--data", data,
         "The data directory of `assay serve`; with --kafka that of a front door with a view. It may be running")
      ->capture_default_str();
  mlflow.add_server_to(app);
  add_duration(app, "--dedupe-window", on_kafka.dedupe_window, "With --kafka: the workers'");
  on_kafka.kafka.add_to(app, false);
  app.add_option("--output", output, "text or json")->check(CLI::IsMember({"text", "json"}))->capture_default_str();
  const auto settle = [&]() -> std::optional<std::string> {
    if (auto problem = mlflow.settle()) return problem;
    return on_kafka.kafka.config.brokers.empty() ? std::nullopt : on_kafka.kafka.settle_for_tool();
  };
  if (const auto parsed = parse(app, std::move(args), settle); !parsed.run) return parsed.code;
  if (!on_kafka.kafka.config.brokers.empty()) {
    if (app.count("--data") > 0) on_kafka.data = data;
    on_kafka.mlflow = mlflow.rest.mlflow;
    on_kafka.output = output;
    return verify_kafka(on_kafka);
  }
  auto local = LocalStore::open(data, {"serve"});
  if (!local) return complain(local.error());
  auto& db = (*local)->db();
  const auto resolved = [&db](Partition partition) -> Result<Offset> {
    const auto meta = load_meta(db, partition);
    if (!meta) return meta.error();
    return meta->feedback;
  };
  const auto found = assay::verify({.log = (*local)->log(), .kv = db, .resolved = resolved});
  if (!found) return complain("the data can't be read: " + found.error().message());
  std::optional<MlflowRecount> recounted;
  if (mlflow.any()) {
    auto positions = mlflow_positions(**local);
    if (!positions) return complain("the data can't be read: " + positions.error().message());
    auto made = recount_mlflow((*local)->log(), mlflow.rest.mlflow, std::move(*positions));
    if (!made) return complain(made.error());
    recounted = std::move(*made);
  }
  return tell(*found, recounted, recounted ? "data" : "", output);
}

}  // namespace assay::cli
