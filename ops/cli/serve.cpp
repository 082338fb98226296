// assay serve: everything in one process, over the embedded log.
#include <limits>

#include "ops/cli/backup_acts.hpp"
#include "ops/cli/control.hpp"
#include "ops/cli/dead_letter_acts.hpp"
#include "ops/cli/door_with_routes.hpp"
#include "ops/cli/forget_acts.hpp"
#include "ops/cli/role.hpp"
#include "ops/cli/serve_mlflow.hpp"
#include "ops/cli/serve_upkeep.hpp"
#include "ops/cli/sink_acts.hpp"
#include "ops/cli/store_metrics.hpp"
#include "ops/runtime/log.hpp"
#include "ops/runtime/process_metrics.hpp"
#include "ops/runtime/service_manager.hpp"
#include "ops/runtime/signals.hpp"
#include "ops/runtime/thread.hpp"
#include "storage/db/data_directory.hpp"
#include "storage/db/db.hpp"
#include "storage/log/embedded_log.hpp"
#include "storage/sinks/store_sink.hpp"
#include "storage/view/store_view.hpp"
#include "workers/committer.hpp"
#include "workers/resolver_thread.hpp"

namespace assay::cli {
namespace {

using namespace std::chrono_literals;

struct ServeOptions {
  FrontDoorOptions door;
  EmbeddedLogConfig log;
  ResolvePolicy policy;
  std::size_t cache_bytes = 64u << 20;
  std::size_t write_buffer_bytes = 64u << 20;
  std::chrono::milliseconds log_retention = std::chrono::hours(7 * 24), retention{0};
  MlflowOptions mlflow;

  std::optional<std::string> settle() {
    if (auto problem = door.settle()) return problem;
    if (auto problem = mlflow.settle()) return problem;
    door.behind.url = mlflow.rest.mlflow.url;
    door.own_experiments = !mlflow.any();
    door.feedback.view_is_complete = true;
    door.behind.ca_file = mlflow.rest.mlflow.ca_file;
    door.behind_authorization = mlflow.rest.mlflow.authorization;
    log.dedupe_window = policy.dedupe_window;
    policy.log_repeats = false;
    policy.letters_max = std::chrono::hours(24 * 365 * 100);  // the store keeps dead letters until they are purged
    policy.record_bytes_max = std::numeric_limits<std::size_t>::max();  // the doors bound their requests
    // A day longer than the store keeps traces. An MLflow keeps what the store lets go of, and is told of it.
    if (retention.count() > 0 && !mlflow.any()) policy.request_retention = retention + std::chrono::hours(24);
    return door.fit_descriptors();
  }

  void add_to(CLI::App& app) {
    door.add_to(app);
    add_duration(app, "--park-max", policy.park_max,
                 "How long feedback waits for its trace before it is a dead letter");
    add_duration(app, "--dedupe-window", policy.dedupe_window, "How long a repeat is recognised");
    add_duration(app, "--log-retention", log_retention,
                 "How long records stay in the log once everybody has read them");
    add_duration(app, "--retention", retention,
                 "How long the store keeps a trace and what was said of it; 0s: for ever");
    add_bytes(app, "--disk-reserve", log.disk_reserve_bytes, "Free space below which nothing more is accepted");
    add_bytes(app, "--queue-max", log.queue_bytes_max, "Bytes that may wait for the log's writer, before 503", 1);
    add_bytes(app, "--cache", cache_bytes, "Memory for blocks of the database");
    add_bytes(app, "--write-buffers", write_buffer_bytes, "Memory for writes of the database before they are files",
              write_buffers_min);
    mlflow.add_to(app);
  }
};

// The door's write waits for the bytes of one step, or one batch of the store, in the WAL: these are kept small. While
// there is no backlog, who follows the log takes at once what two milliseconds bring: fewer wake-ups, fewer writes.
constexpr std::size_t step_records_max = 512, store_records_max = 256;
constexpr std::chrono::microseconds rest = 2ms;

int run(ServeOptions& options) {
  std::optional<StopWhileStarting> starting(std::in_place);
  auto directory = DataDirectory::open(options.door.data);
  if (!directory) return complain(directory.error());
  const SystemClock clock;
  Metrics metrics;
  add_process_metrics(metrics);
  Progress progress;

  ServeCutoffs cutoffs(options.policy, options.log_retention);
  DbConfig db_config{.directory = directory->database(),
                     .memory = DbMemory::with(options.cache_bytes, options.write_buffer_bytes)};
  db_config.drop = [&cutoffs](Family family, std::string_view key, std::string_view value) {
    return cutoffs.may_go(family, key, value);
  };
  auto db = Db::open(std::move(db_config));
  if (!db) return complain(db.error());
  if (const auto problem = claim_role(**db, directory->path(), "serve")) return complain(*problem);
  auto log = EmbeddedLog::open(**db, directory->path(), options.log, metrics);
  if (!log) return complain(log.error());

  StoreSink store(**db, clock, &metrics, options.retention);
  Committer store_committer(**log, store, metrics,
                            {.records_max = store_records_max, .rest = rest, .progress = &progress});
  StoreView view(**db, **log, progress, [&log](StreamPartition where) { return (*log)->end(where); });

  IoContext append_io(1);  // of appends that are not a request's: dead letters, replays
  const DeadLetterActs acts(**db, **log, append_io);
  IoContext forget_io(1);
  const ForgetActs forget(**log, forget_io);
  ServeMlflow mlflow(options.mlflow, {directory->path(), **db, **log, acts, view, clock, metrics});
  if (const auto problem = mlflow.open()) return complain(*problem);
  view.forget_told_before([&options, &clock] { return told_since(options.policy, clock.now()); });

  DoorWithRoutes door(options.door, **log, &view, **db, metrics, clock);
  const BackupActs backup(**db, directory->path());
  const SinkActs sinks(**db);
  auto control = ControlServer::open(directory->path(), [&acts, &forget, &backup, &sinks](const std::string& line) {
    if (line == "ping") return std::string("ok");
    if (SinkActs::knows(line)) return sinks.answer(line);
    if (BackupActs::knows(line)) return backup.answer(line);
    return ForgetActs::knows(line) ? forget.answer(line) : acts.answer(line);
  });
  if (!control) return complain(control.error());
  add_store_metrics(metrics, **db);

  const auto open_partition = [&log]() -> Result<OpenedPartition> { return OpenedPartition{(*log)->committer(), {}}; };
  ResolverThread resolver({.policy = options.policy, .records_max = step_records_max, .rest = rest}, **log, **db,
                          open_partition, clock, metrics, &progress);
  store_committer.start();
  mlflow.start();
  door.front().add_live_check(
      [&] { return (*log)->live() && !resolver.stuck() && !store_committer.stuck() && !mlflow.stuck(); });
  const auto begin = [&starting] { starting.reset(); };  // from there on there is what a drain is for
  if (const auto started = door.start(begin); !started) return complain(started.error());
  spdlog::info("event=serving address={} port={} data=\"{}\" version=" ASSAY_VERSION, options.door.ingest.http.address,
               door.front().port(), directory->path());

  ServeUpkeep upkeep(**log, {progress, store, mlflow.sink()}, cutoffs, clock, options.log_retention);
  std::jthread upkeep_thread([&upkeep](std::stop_token stop) {
    while (sleep_unless_stopped(stop, 60s)) {
      try {
        upkeep.look();
      } catch (const std::exception& e) {
        spdlog::error("event=upkeep_failed problem=\"{}\" act=\"try again\"", e.what());
      }
    }
  });
  ServiceManager manager([&] { return door.front().live(); }, [&] { return door.front().not_ready(); });
  wait_for_stop(
      [&] {
        manager.stopping();
        door.drain();  // what was accepted is in the log; who follows it goes on there at the next start
        upkeep_thread.request_stop();
        mlflow.stop();
        control->reset();
        resolver.stop();
        store_committer.stop();
        upkeep_thread.join();  // here, where a second signal is heard
      },
      [&door] { door.reload(); });
  spdlog::info("event=stopped");
  return ok;
}

}  // namespace

int serve(std::vector<std::string> args) {
  CLI::App app("Everything in one process: the front door, the event log, the workers, the store", "assay serve");
  ServeOptions options;
  options.add_to(app);
  block_reload_signal();
  const auto settle = [&options] { return options.settle(); };
  if (const auto parsed = parse(app, std::move(args), settle); !parsed.run) return parsed.code;
  return run(options);
}

}  // namespace assay::cli
