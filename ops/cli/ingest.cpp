// assay ingest: the front door alone, in front of Kafka.
#include "ops/cli/front_door_options.hpp"
#include "ops/cli/home_thread.hpp"
#include "ops/cli/kafka_options.hpp"
#include "ops/runtime/log.hpp"
#include "ops/runtime/process_metrics.hpp"
#include "ops/runtime/service_manager.hpp"
#include "ops/runtime/signals.hpp"
#include "storage/db/data_directory.hpp"
#include "storage/db/db.hpp"
#include "storage/log/kafka_log.hpp"

namespace assay::cli {
namespace {

int run(FrontDoorOptions& options, KafkaOptions& kafka) {
  auto directory = DataDirectory::open(options.data);
  if (!directory) return complain(directory.error());
  const SystemClock clock;
  Metrics metrics;
  add_process_metrics(metrics);
  // Its own disk keeps only the journal of open chats.
  auto db = Db::open({.directory = directory->database(), .memory = DbMemory::with(8u << 20, 8u << 20)});
  if (!db) return complain(db.error());
  HomeThread home;
  auto log = KafkaLog::open(home.io(), kafka.config, metrics, kafka.wait);
  if (!log) return complain(log.error());
  DoorWithRoutes door(options, **log, nullptr, false, **db, metrics, clock);
  if (const auto started = door.start(); !started) return complain(started.error());
  spdlog::info("event=ingesting address={} port={} kafka=\"{}\" topic_prefix={} version=" ASSAY_VERSION,
               options.ingest.http.address, door.front().port(), kafka.config.brokers, kafka.config.topic_prefix);
  ServiceManager manager([&] { return door.front().live(); });
  wait_for_stop(
      [&] {
        manager.stopping();
        door.drain();
        home.close(**log, std::chrono::seconds(10));
      },
      [&door] { door.reload(); });
  spdlog::info("event=stopped");
  return ok;
}

}  // namespace

int ingest(std::vector<std::string> args) {
  CLI::App app("The front door alone, in front of Kafka", "assay ingest");
  FrontDoorOptions options;
  options.data = "assay-ingest";
  KafkaOptions kafka;
  options.add_to(app);
  kafka.add_to(app);
  app.add_option_function<double>(
         "--linger-ms",
         [&kafka](double ms) { kafka.config.linger = std::chrono::microseconds(static_cast<std::int64_t>(ms * 1000)); },
         "How long a record may wait for company before it is sent")
      ->check(CLI::Range(0.0, 1000.0));
  app.add_option("--mlflow-url", options.behind.url,
                 "An MLflow server behind this door: it gets what the door does not answer, its page included");
  app.add_option("--mlflow-ca-file", options.behind.ca_file, "Certificates (PEM) to trust beside the system's");
  add_duration(app, "--append-timeout", kafka.config.append_timeout, "For Kafka to acknowledge a record, before 503");
  add_bytes(app, "--outstanding-max", kafka.config.outstanding_bytes_max,
            "Bytes not yet acknowledged by Kafka, before 503");
  const auto settle = [&]() -> std::optional<std::string> {
    if (auto problem = options.settle()) return problem;
    while (options.behind.url.ends_with('/')) options.behind.url.pop_back();
    if (!options.behind.url.empty())
      if (auto problem = problem_with_url("--mlflow-url", options.behind.url)) return problem;
    if (options.feedback.reject_unknown_trace)
      return "--unknown-trace=reject needs to know every trace: only `assay serve` does";
    return kafka.settle();
  };
  block_reload_signal();
  if (const auto parsed = parse(app, std::move(args), settle); !parsed.run) return parsed.code;
  return run(options, kafka);
}

}  // namespace assay::cli
