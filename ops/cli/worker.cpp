// assay worker: resolve and commit, behind Kafka.
#include <algorithm>

#include "ingest/front_door.hpp"
#include "ops/cli/dead_letter_acts.hpp"
#include "ops/cli/front_door_options.hpp"
#include "ops/cli/home_thread.hpp"
#include "ops/cli/kafka_options.hpp"
#include "ops/cli/mlflow_options.hpp"
#include "ops/runtime/log.hpp"
#include "ops/runtime/process_metrics.hpp"
#include "ops/runtime/service_manager.hpp"
#include "ops/runtime/signals.hpp"
#include "storage/db/data_directory.hpp"
#include "storage/log/kafka_source.hpp"
#include "workers/assignment.hpp"
#include "workers/shared_sink.hpp"

namespace assay::cli {
namespace {

struct WorkerOptions {
  KafkaOptions kafka;
  std::string data = "assay-worker";
  std::string admin_listen = "127.0.0.1:9108";
  IngestConfig admin;
  ResolvePolicy policy;
  std::size_t cache_bytes = 64u << 20;
  std::size_t write_buffer_bytes = 64u << 20;
  MlflowOptions mlflow;

  void add_to(CLI::App& app) {
    kafka.add_to(app);
    policy.dedupe_window = std::chrono::hours(1);
    app.add_option("--data", data, "The directory of this worker's state, a cache of the log")->capture_default_str();
    app.add_option("--admin-listen", admin_listen, "Where /livez, /readyz and /metrics answer, ADDRESS:PORT")
        ->capture_default_str();
    app.add_option("--instance-id", kafka.config.instance_id,
                   "A name of this worker that a restart keeps: its partitions wait for it");
    add_duration(app, "--session-timeout", kafka.config.session_timeout,
                 "A worker not heard of for so long loses its partitions");
    add_duration(app, "--park-max", policy.park_max,
                 "How long feedback waits for its trace before it is a dead letter");
    add_duration(app, "--dedupe-window", policy.dedupe_window, "How long a repeat is recognised");
    add_bytes(app, "--cache", cache_bytes, "Memory for blocks of the databases, all partitions together");
    add_bytes(app, "--write-buffers", write_buffer_bytes, "Memory for writes of the databases before they are files");
    mlflow.add_to(app);
  }
};

int run(WorkerOptions& options) {
  const auto& kafka = options.kafka;
  auto directory = DataDirectory::open(options.data);
  if (!directory) return complain(directory.error());
  const SystemClock clock;
  Metrics metrics;
  add_process_metrics(metrics);
  const auto memory = DbMemory::with(options.cache_bytes, options.write_buffer_bytes);
  auto sources = KafkaSources::open(kafka.config, kafka.wait);
  if (!sources) return complain(sources.error());
  HomeThread home;
  auto log = KafkaLog::open(home.io(), kafka.config, metrics, kafka.wait);  // of dead letters that a sink gives up
  if (!log) return complain(log.error());
  auto db = Db::open({.directory = directory->database(), .memory = memory});
  if (!db) return complain(db.error());

  AssignmentConfig config{.kafka = kafka.config,
                          .directory = directory->path() + "/partitions",
                          .memory = memory,
                          .policy = options.policy};
  auto assignment = Assignment::open(std::move(config), **sources, clock, metrics);
  if (!assignment) return complain(assignment.error());

  IoContext bury_io(1);
  const DeadLetterActs acts(**db, **log, bury_io);
  std::unique_ptr<Feeder> feeder;  // of the worker that has partition 0
  std::unique_ptr<SharedSink> mlflow;
  if (options.mlflow.any()) {
    if (const auto refused = refusal_of_database(options.mlflow, clock)) return complain("--mlflow-db: " + *refused);
    const auto cluster = (*log)->cluster_id();
    if (cluster.empty()) return complain("the brokers do not say which cluster they are");
    const auto source = cluster + "/" + kafka.config.topic_prefix;
    auto make = [&, source](PositionStore& positions) {
      auto bury = [&acts](DeadLetter dead) { return acts.bury(std::move(dead)); };
      return make_mlflow_sink(options.mlflow, source, positions, **db, bury, clock, metrics);
    };
    auto owns = [&](const std::vector<Partition>& partitions) {
      feeder.reset();
      if (!options.mlflow.feeds() || std::find(partitions.begin(), partitions.end(), 0) == partitions.end()) return;
      feeder = std::make_unique<Feeder>(options.mlflow.feeder, **log, **db, clock, metrics);
      feeder->start();
    };
    auto shared = SharedSink::open(kafka.config, "mlflow", **sources, std::move(make), std::move(owns), metrics);
    if (!shared) return complain(shared.error());
    mlflow = std::move(*shared);
  }

  FrontDoor admin(options.admin, **log, nullptr, metrics, clock);
  admin.add_check({"partitions", [&assignment]() -> Result<void> {
                     if ((*assignment)->caught_up()) return {};
                     return Error::log_unavailable;
                   }});
  if (const auto started = admin.start(); !started) return complain(started.error());
  spdlog::info("event=working admin_port={} kafka=\"{}\" topic_prefix={} instance_id={} version=" ASSAY_VERSION,
               admin.port(), kafka.config.brokers, kafka.config.topic_prefix, kafka.config.instance_id);
  ServiceManager manager([&] { return admin.live(); });
  wait_for_stop([&] {
    manager.stopping();
    admin.begin_drain();
    assignment->reset();
    mlflow.reset();
    home.close(**log, std::chrono::seconds(5));
    admin.drain();
  });
  spdlog::info("event=stopped");
  return ok;
}

}  // namespace

int worker(std::vector<std::string> args) {
  CLI::App app("Resolve and commit, behind Kafka: start as many as there are partitions", "assay worker");
  WorkerOptions options;
  options.add_to(app);
  if (const auto parsed = parse(app, std::move(args)); !parsed.run) return parsed.code;
  const auto address = parse_address(options.admin_listen);
  if (!address) return complain("--admin-listen: \"" + options.admin_listen + "\" is not ADDRESS:PORT", usage);
  options.admin.http.address = address->host;
  options.admin.http.port = address->port;
  if (const auto problem = options.kafka.settle()) return complain(*problem, usage);
  if (const auto problem = options.mlflow.settle()) return complain(*problem, usage);
  return run(options);
}

}  // namespace assay::cli
