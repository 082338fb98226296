// assay worker: resolve and commit, behind Kafka.
#include "ingest/front_door.hpp"
#include "ops/cli/dead_letter_acts.hpp"
#include "ops/cli/front_door_options.hpp"
#include "ops/cli/home_thread.hpp"
#include "ops/cli/kafka_options.hpp"
#include "ops/runtime/log.hpp"
#include "ops/runtime/signals.hpp"
#include "storage/db/data_directory.hpp"
#include "storage/log/kafka_source.hpp"
#include "storage/sinks/mlflow_rest.hpp"
#include "workers/assignment.hpp"
#include "workers/chat_duty.hpp"
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
  MlflowSinkConfig mlflow;

  std::optional<std::string> settle() {
    const auto address = parse_address(admin_listen);
    if (!address) return "--admin-listen: \"" + admin_listen + "\" is not ADDRESS:PORT";
    admin.http.address = address->host;
    admin.http.port = address->port;
    if (const auto& url = mlflow.mlflow.url; !url.empty())
      if (auto problem = problem_with_url("--mlflow-url", url)) return problem;
    return kafka.settle();
  }

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
    app.add_option("--mlflow-url", mlflow.mlflow.url,
                   "A real MLflow server that assessments and traces are committed to");
    app.add_option("--mlflow-experiment", mlflow.mlflow.experiment, "Its experiment for traces that name none")
        ->capture_default_str();
  }
};

int run(WorkerOptions& options) {
  const auto& kafka = options.kafka;
  auto directory = DataDirectory::open(options.data);
  if (!directory) return complain(directory.error());
  const SystemClock clock;
  Metrics metrics;
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
  std::unique_ptr<SharedSink> mlflow;
  if (!options.mlflow.mlflow.url.empty()) {
    auto make = [&](PositionStore& positions) -> std::unique_ptr<AssessmentSink> {
      return std::make_unique<MlflowSink>(
          options.mlflow, positions, [&acts](DeadLetter dead) { return acts.bury(std::move(dead)); }, clock, metrics);
    };
    auto shared = SharedSink::open(kafka.config, "mlflow", **sources, **db, std::move(make), metrics);
    if (!shared) return complain(shared.error());
    mlflow = std::move(*shared);
  }

  auto append = [&acts](Record record) { return acts.append({std::move(record)}); };
  auto chats = ChatDuty::open(kafka.config, **sources, std::move(append), clock, metrics);
  if (!chats) return complain(chats.error());

  FrontDoor admin(options.admin, **log, metrics, clock);
  admin.add_check({"partitions", [&assignment]() -> Result<void> {
                     if ((*assignment)->caught_up()) return {};
                     return Error::log_unavailable;
                   }});
  if (const auto started = admin.start(); !started) return complain(started.error());
  spdlog::info("event=working admin_port={} kafka=\"{}\" topic_prefix={} instance_id={} version=" ASSAY_VERSION,
               admin.port(), kafka.config.brokers, kafka.config.topic_prefix, kafka.config.instance_id);
  wait_for_stop([&] {
    admin.begin_drain();
    assignment->reset();
    mlflow.reset();
    chats->reset();
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
  const auto settle = [&options] { return options.settle(); };
  if (const auto parsed = parse(app, std::move(args), settle); !parsed.run) return parsed.code;
  return run(options);
}

}  // namespace assay::cli
