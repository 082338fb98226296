#include "storage/store/verify.hpp"

#include <iostream>

#include "ops/cli/kafka_verify.hpp"
#include "ops/cli/local_store.hpp"
#include "ops/cli/options.hpp"
#include "storage/state/partition_state.hpp"

namespace assay::cli {

int verify(std::vector<std::string> args) {
  CLI::App app("Recounts every record of the log against the sinks and says what is unaccounted for", "assay verify");
  std::string data = "assay-data", output = "text";
  KafkaVerify on_kafka;
  app.add_option(
         "--data", data,
         "The data directory of `assay serve`; with --kafka that of a front door with a view. It may be running")
      ->capture_default_str();
  app.add_option("--mlflow-url", on_kafka.mlflow_url, "With --kafka: an MLflow server to recount against, too");
  add_duration(app, "--dedupe-window", on_kafka.dedupe_window, "With --kafka: the workers'");
  on_kafka.kafka.add_to(app, false);
  app.add_option("--output", output, "text or json")->check(CLI::IsMember({"text", "json"}))->capture_default_str();
  if (const auto parsed = parse(app, std::move(args)); !parsed.run) return parsed.code;
  if (!on_kafka.kafka.config.brokers.empty()) {
    if (const auto problem = on_kafka.kafka.settle_for_tool()) return complain(*problem, usage);
    if (app.count("--data") > 0) on_kafka.data = data;
    on_kafka.output = output;
    return verify_kafka(on_kafka);
  }
  if (!on_kafka.mlflow_url.empty())
    return complain("--mlflow-url is recounted with --kafka; of a data directory the log and the store are", usage);

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
  std::cout << (output == "json" ? to_json(*found) + "\n" : to_text(*found));
  return found->unaccounted() == 0 ? ok : failure;
}

}  // namespace assay::cli
