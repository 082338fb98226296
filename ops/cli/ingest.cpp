// assay ingest: the front door alone, in front of Kafka.
#include "ops/cli/door_with_routes.hpp"
#include "ops/cli/file_options.hpp"
#include "ops/cli/kafka_view.hpp"
#include "ops/cli/mlflow_options.hpp"
#include "ops/cli/role.hpp"
#include "ops/cli/store_metrics.hpp"
#include "ops/runtime/log.hpp"
#include "ops/runtime/process_metrics.hpp"
#include "ops/runtime/service_manager.hpp"
#include "ops/runtime/signals.hpp"
#include "storage/db/data_directory.hpp"
#include "storage/db/db.hpp"

namespace assay::cli {
namespace {

struct ViewOptions {
  bool on = false;
  std::int64_t lag_max = 10'000;
  std::size_t cache_bytes = 64u << 20;
  std::size_t write_buffer_bytes = 64u << 20;
  ViewAges ages;

  void add_to(CLI::App& app) {
    app.add_flag("--view", on, "Follow all streams into a store of this door's own, and read from it");
    app.add_option("--view-lag-max", lag_max, "Records that the view may be behind and still be ready")
        ->check(at_least_one())
        ->capture_default_str();
    add_bytes(app, "--cache", cache_bytes, "Memory for blocks of the view's database");
    add_bytes(app, "--write-buffers", write_buffer_bytes, "Memory for writes of the view before they are files",
              write_buffers_min);
    add_duration(app, "--retention", ages.retention,
                 "How long the view keeps a trace and what was said of it, and takes feedback about it; 0s: for ever");
    add_duration(app, "--request-retention", ages.request_retention,
                 "With --view, the workers': how long a trace's ids are known after they were told last; 0s: for ever");
  }
  DbMemory memory() const {
    return on ? DbMemory::with(cache_bytes, write_buffer_bytes) : DbMemory::with(8u << 20, 8u << 20);
  }
};

int run(FrontDoorOptions& options, KafkaOptions& kafka, const SpoolOptions& spool, const ViewOptions& view_options) {
  std::optional<StopWhileStarting> starting(std::in_place);
  auto directory = DataDirectory::open(options.data);
  if (!directory) return complain(directory.error());
  const SystemClock clock;
  Metrics metrics;
  add_process_metrics(metrics);
  // Its own disk keeps the journal of open chats, the spool and the view.
  ViewCutoffs cutoffs(view_options.ages, clock);
  DbConfig db_config{.directory = directory->database(), .memory = view_options.memory()};
  db_config.drop = [&cutoffs](Family family, std::string_view key, std::string_view value) {
    return cutoffs.may_go(family, key, value);
  };
  auto db = Db::open(std::move(db_config));
  if (!db) return complain(db.error());
  if (const auto problem = claim_role(**db, directory->path(), "ingest")) return complain(*problem);
  auto log = DoorLog::open(spool, kafka, view_options.on, **db, directory->path(), clock, metrics);
  if (!log) return complain(log.error());
  std::unique_ptr<KafkaView> view;
  if (view_options.on) {
    add_store_metrics(metrics, **db);
    Changes kept;
    kept.put(Family::meta, view_key, "1");
    if (!(*db)->write(kept)) return complain(directory->path() + " can't be written");
    view = std::make_unique<KafkaView>(kafka, **log, **db, view_options.ages, cutoffs, clock, metrics);
    if (const auto started = view->start(); !started) return complain(started.error());
  }
  DoorWithRoutes door(options, (*log)->log(), view ? &view->view() : nullptr, **db, metrics, clock);
  door.front().add_live_check([&] { return (*log)->log().live() && (!view || view->live()); });
  if (view) door.front().add_check({"view", [&] { return view->caught_up(view_options.lag_max); }});
  starting.reset();  // from here on there is what a drain is for
  if (const auto started = door.start(); !started) return complain(started.error());
  spdlog::info("event=ingesting address={} port={} kafka=\"{}\" topic_prefix={} version=" ASSAY_VERSION,
               options.ingest.http.address, door.front().port(), kafka.config.brokers, kafka.config.topic_prefix);
  ServiceManager manager([&] { return door.front().live(); }, [&] { return door.front().not_ready(); });
  wait_for_stop(
      [&] {
        manager.stopping();
        door.drain();
        if (view) view->stop();
        (*log)->close(std::chrono::seconds(10));
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
  SpoolOptions spool;
  ViewOptions view;
  options.add_to(app);
  kafka.add_to(app);
  spool.add_to(app);
  view.add_to(app);
  std::chrono::milliseconds linger{1};
  add_duration(app, "--linger", linger, "How long a record may wait for others to be sent with");
  app.add_option("--mlflow-url", options.behind.url,
                 "An MLflow server behind this door: it gets what the door does not answer, its page included");
  app.add_option("--mlflow-ca-file", options.behind.ca_file, "Certificates (PEM) to trust beside the system's");
  kafka.config.append_timeout = std::chrono::seconds(2);
  add_duration(app, "--append-timeout", kafka.config.append_timeout,
               "For Kafka to acknowledge a record, before it goes to the spool; with --spool off 10s, before 503");
  add_bytes(app, "--outstanding-max", kafka.config.outstanding_bytes_max,
            "Bytes not yet acknowledged by Kafka, before 503", 1);
  const auto settle = [&]() -> std::optional<std::string> {
    if (auto problem = options.settle()) return problem;
    if (linger > std::chrono::seconds(1)) return "--linger: more than 1s";
    kafka.config.linger = linger;
    while (options.behind.url.ends_with('/')) options.behind.url.pop_back();
    options.own_experiments = options.behind.url.empty();
    if (!options.behind.url.empty())
      if (auto problem = problem_with_url("--mlflow-url", options.behind.url)) return problem;
    if (auto problem = problem_with_ca_file("--mlflow-ca-file", options.behind.ca_file)) return problem;
    if (spool.text == "off" && app.count("--append-timeout") == 0) {
      kafka.config.append_timeout = std::chrono::seconds(10);
      app.get_option("--append-timeout")->default_str("10s");  // as --check prints it
    }
    if (auto problem = kafka.settle()) return problem;
    if (auto problem = spool.settle(kafka)) return problem;
    options.behind_authorization = mlflow_authorization();
    if (options.reject_unknown_trace && !view.on && options.behind.url.empty())
      return "--unknown-trace=reject needs somebody who knows every trace: --view, --mlflow-url, or `assay serve`";
    return options.fit_descriptors();
  };
  block_reload_signal();
  if (const auto parsed = parse(app, std::move(args), settle); !parsed.run) return parsed.code;
  return run(options, kafka, spool, view);
}

}  // namespace assay::cli
