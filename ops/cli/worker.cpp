// assay worker: resolve and commit, behind Kafka.
#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <limits>
#include <mutex>

#include "ingest/front_door.hpp"
#include "ops/cli/dead_letter_acts.hpp"
#include "ops/cli/file_options.hpp"
#include "ops/cli/front_door_options.hpp"
#include "ops/cli/home_thread.hpp"
#include "ops/cli/kafka_options.hpp"
#include "ops/cli/kept_too_short.hpp"
#include "ops/cli/role.hpp"
#include "ops/cli/store_metrics.hpp"
#include "ops/cli/topics_claim.hpp"
#include "ops/cli/worker_mlflow.hpp"
#include "ops/runtime/ids.hpp"
#include "ops/runtime/log.hpp"
#include "ops/runtime/process_metrics.hpp"
#include "ops/runtime/service_manager.hpp"
#include "ops/runtime/signals.hpp"
#include "storage/db/data_directory.hpp"
#include "storage/log/kafka_source.hpp"
#include "storage/log/kafka_topics.hpp"
#include "workers/assignment.hpp"
#include "workers/chat_closer_group.hpp"

namespace assay::cli {
namespace {

// A step that gathers for longer would look as if it stood still: see Assignment::live().
constexpr std::chrono::seconds commit_interval_max{10};
constexpr std::chrono::hours session_timeout_max{1};  // librdkafka's

struct WorkerOptions {
  KafkaOptions kafka;
  std::string data = "assay-worker";
  std::string admin_listen = "127.0.0.1:9108";
  IngestConfig admin;
  ResolvePolicy policy;
  std::size_t cache_bytes = 40u << 20;
  std::size_t write_buffer_bytes = 48u << 20;
  std::chrono::milliseconds commit_interval{50};
  int standby = 0;
  bool leave_on_stop = false;
  MlflowOptions mlflow;

  std::optional<std::string> settle() {
    const auto address = parse_address(admin_listen);
    if (!address) return "--admin-listen: \"" + admin_listen + "\" is not ADDRESS:PORT";
    admin.http.address = address->host;
    admin.http.port = address->port;
    admin.http.connections_max = 128;  // of probes and Prometheus: descriptors are for the databases
    if (leave_on_stop && !kafka.config.instance_id.empty())
      return "--leave-on-stop and --instance-id exclude each other: one gives the partitions away, one keeps them";
    if (commit_interval > commit_interval_max) return "--commit-interval: more than 10s";
    if (kafka.config.session_timeout > session_timeout_max) return "--session-timeout: more than 1h";
    if (auto problem = problem_with_directory("--data", data)) return problem;
    if (auto problem = mlflow.settle()) return problem;
    return kafka.settle();
  }

  void add_to(CLI::App& app) {
    kafka.add_to(app);
    policy.dedupe_window = std::chrono::hours(1);
    policy.request_retention = std::chrono::days(30);
    policy.outputs_max = 20'000;
    policy.bytes_max = 4u << 20;
    app.add_option("--data", data, "The directory of this worker's state, a cache of the log")->capture_default_str();
    app.add_option("--admin-listen", admin_listen, "Where /livez, /readyz and /metrics answer, ADDRESS:PORT")
        ->capture_default_str();
    app.add_option(
        "--instance-id", kafka.config.instance_id,
        "A name of this worker that a restart keeps: its partitions wait for it; without one, a name that is "
        "kept in --data");
    app.add_flag("--leave-on-stop", leave_on_stop,
                 "A stop gives the partitions to the others at once, instead of leaving them for a restart");
    add_duration(app, "--commit-interval", commit_interval,
                 "How long a step waits for more feedback before it is committed; a backlog is taken at once");
    app.add_option("--standby", standby, "Warm copies of each partition's state, on as many other workers")
        ->check(CLI::Range(0, 16))
        ->capture_default_str();
    add_duration(app, "--session-timeout", kafka.config.session_timeout,
                 "A worker not heard of for so long loses its partitions");
    add_duration(app, "--park-max", policy.park_max,
                 "How long feedback waits for its trace before it is a dead letter");
    add_duration(app, "--dedupe-window", policy.dedupe_window, "How long a repeat is recognised");
    add_duration(app, "--request-retention", policy.request_retention,
                 "How long a trace's ids are known after they were told last; 0s: for ever");
    add_bytes(app, "--cache", cache_bytes, "Memory for blocks of the databases, all partitions together");
    add_bytes(app, "--write-buffers", write_buffer_bytes, "Memory for writes of the databases before they are files",
              write_buffers_min);
    mlflow.add_to(app);
  }
};

// The name under which the group knows this worker, over restarts; made at the first.
Result<std::string, std::string> kept_instance_id(const std::string& directory) {
  using Kept = Result<std::string, std::string>;  // both are strings: each return says which
  const auto path = directory + "/instance-id";
  std::string id;
  if (std::ifstream(path) >> id && !id.empty()) return Kept(boost::system::in_place_value, id);
  id = random_id("worker-");
  std::ofstream out(path);
  out << id << "\n";
  if (!out.flush()) return Kept(boost::system::in_place_error, fmt::format("{} can't be written", path));
  return Kept(boost::system::in_place_value, id);
}

// Where no flag names this worker: whether a restart is to be known as it, and as whom. What stands against it, in a
// sentence.
std::optional<std::string> name_instance(WorkerOptions& options, const std::string& directory) {
  auto& id = options.kafka.config.instance_id;
  if (options.leave_on_stop || !id.empty()) return {};
  auto kept = kept_instance_id(directory);
  if (!kept) return kept.error();
  id = *kept;
  return {};
}

// The directory is a worker's, and of these topics, from now on. What stands against it.
std::optional<Problem> claim(KeyValue& db, const std::string& directory, const std::string& cluster,
                             const std::string& topic_prefix) {
  if (auto problem = claim_role(db, directory, "worker")) return problem;
  if (cluster.empty()) return Problem("the brokers do not say which cluster they are");
  return claim_topics(db, directory, cluster, topic_prefix);
}

// What one of the groups has ended with, the first: a worker without one would do half of its work, so it ends, too.
// Not before it has started: a signal then is somebody's who wants it to end without a word. Nor once it ends: there a
// signal is the second one.
class GroupFailure {
 public:
  // Thread-safe.
  void note(std::string why) {
    spdlog::error("event=worker_failed problem=\"{}\"", why);
    std::scoped_lock lock(mutex_);
    if (!why_.empty()) return;
    why_ = std::move(why);
    if (started_) ::kill(::getpid(), SIGTERM);
  }
  void started() {
    std::scoped_lock lock(mutex_);
    started_ = true;
    if (!why_.empty()) ::kill(::getpid(), SIGTERM);
  }
  void ending() {
    std::scoped_lock lock(mutex_);
    started_ = false;
  }
  // When the groups have ended.
  const std::string& why() const { return why_; }

 private:
  std::mutex mutex_;
  std::string why_;
  bool started_ = false;
};

// How long the topics keep what a consumer has not read yet: what alerts on its delay are measured by. Where the
// brokers do not tell (no right to DescribeConfigs) there is no such figure, and the last one stands while they are
// away.
void note_retentions(const KafkaSources& sources, Metrics& metrics) {
  const auto found = sources.retentions(std::chrono::seconds(1));  // a stop may wait for it
  if (!found) return;
  for (const auto& [stream, kept] : *found) {
    const bool for_ever = kept == std::chrono::milliseconds::max();
    metrics
        .gauge("assay_topic_retention_seconds", "How long a topic keeps its records, read or not",
               {{"stream", std::string(name_of(stream))}})
        .Set(for_ever ? std::numeric_limits<double>::infinity() : std::chrono::duration<double>(kept).count());
  }
}

// Where the brokers do not tell (no right to DescribeConfigs) nothing is said.
void warn_of_short_topics(const KafkaConfig& kafka, const ResolvePolicy& policy) {
  const auto topics = describe_topics(kafka, std::chrono::seconds(2));
  if (!topics) return;
  for (const auto& sentence : kept_too_short(*topics, policy))
    spdlog::warn("event=topics_keep_too_short why=\"{}\" act=\"raise retention.ms by kafka-configs.sh\"", sentence);
}

// `assignment` outlives the door's answers.
void add_ready_checks(FrontDoor& admin, const Assignment& assignment) {
  admin.add_check({"topics", [&assignment]() -> Result<void> {
                     if (assignment.refusal().empty()) return {};
                     return Error::log_changed;
                   }});
  admin.add_check({"partitions", [&assignment] { return assignment.ready(); }});
}

int run(WorkerOptions& options) {
  std::optional<StopWhileStarting> starting(std::in_place);
  auto& kafka = options.kafka;
  auto directory = DataDirectory::open(options.data);
  if (!directory) return complain(directory.error());
  const auto memory = DbMemory::with(options.cache_bytes, options.write_buffer_bytes);
  auto db = Db::open({.directory = directory->database(), .memory = memory});
  if (!db) return complain(db.error());
  // First: in somebody else's directory nothing is written, nor does it wait for Kafka to be refused.
  constexpr std::string_view role = "worker";
  if (const auto problem = problem_with_role(**db, directory->path(), {&role, 1})) return complain(*problem);
  if (const auto problem = name_instance(options, directory->path())) return complain(*problem);
  const SystemClock clock;
  Metrics metrics;
  add_process_metrics(metrics);
  add_worker_disk_metrics(metrics, directory->path());
  auto sources = KafkaSources::open(kafka.config, kafka.wait);
  if (!sources) return complain(sources.error());
  note_retentions(**sources, metrics);
  warn_of_short_topics(kafka.config, options.policy);
  HomeThread home;
  auto log = KafkaLog::open(home.io(), kafka.config, metrics, kafka.wait);  // of dead letters that a sink gives up
  if (!log) return complain(log.error());
  const StopHome stop_home(home);
  const auto cluster = (*log)->cluster_id();
  const auto& prefix = kafka.config.topic_prefix;
  if (const auto problem = claim(**db, directory->path(), cluster, prefix)) return complain(*problem);

  FrontDoor admin(options.admin, **log, metrics, clock);
  // Before it joins: one that can't start, again and again, would take partitions from the others each time.
  if (const auto listening = admin.listen(); !listening) return complain(listening.error());

  options.policy.record_bytes_max = record_bytes_max(kafka.config);
  GroupFailure failure;
  auto failed = [&failure](std::string why) { failure.note(std::move(why)); };
  AssignmentConfig config{.kafka = kafka.config,
                          .directory = directory->path() + "/partitions",
                          .memory = memory,
                          .policy = options.policy,
                          .commit_interval = options.commit_interval,
                          .standby = options.standby,
                          .topics_changed =
                              [&] {
                                note_retentions(**sources, metrics);
                                return (*sources)->changed();
                              },
                          .on_failed = failed};
  auto assignment = Assignment::open(std::move(config), **sources, clock, metrics);
  if (!assignment) return complain(assignment.error());

  IoContext bury_io(1);
  const DeadLetterActs acts(**db, **log, bury_io, record_bytes_max(kafka.config));
  WorkerMlflow mlflow(options.mlflow, {kafka.config, **sources, **log, **db, acts, clock, metrics});
  if (const auto problem = mlflow.open(cluster + "/" + prefix, failed)) return complain(*problem);
  auto append = [&acts](Record record) { return acts.append({std::move(record)}); };
  auto chats = ChatCloserGroup::open(kafka.config, **sources, std::move(append), clock, metrics, failed);
  if (!chats) return complain(chats.error());

  add_ready_checks(admin, **assignment);
  admin.add_live_check(
      [&] { return (*assignment)->live() && (*log)->live() && !mlflow.stuck() && !(*chats)->stuck(); });
  starting.reset();  // from here on there is what a drain is for
  failure.started();
  if (const auto started = admin.start(); !started) return complain(started.error());
  spdlog::info("event=working admin_port={} kafka=\"{}\" topic_prefix={} instance_id={} version=" ASSAY_VERSION,
               admin.port(), kafka.config.brokers, kafka.config.topic_prefix, kafka.config.instance_id);
  ServiceManager manager([&] { return admin.live(); }, [&] { return admin.not_ready(); });
  wait_for_stop(
      [&] {
        failure.ending();
        manager.stopping();
        admin.drain();  // first: what it answers asks the assignment
        assignment->reset();
        mlflow.leave();
        chats->reset();
        home.close(**log, std::chrono::seconds(5));
      },
      [] { spdlog::info("event=reloaded act=\"none: a worker has no keys\""); });
  spdlog::info("event=stopped");
  return failure.why().empty() ? ok : complain(failure.why());
}

}  // namespace

int worker(std::vector<std::string> args) {
  CLI::App app("Resolve and commit, behind Kafka: start as many as there are partitions", "assay worker");
  WorkerOptions options;
  options.add_to(app);
  const auto settle = [&options] { return options.settle(); };
  block_reload_signal();
  if (const auto parsed = parse(app, std::move(args), settle); !parsed.run) return parsed.code;
  return run(options);
}

}  // namespace assay::cli
