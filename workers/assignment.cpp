#include "workers/assignment.hpp"

#include <spdlog/fmt/fmt.h>

#include <atomic>
#include <filesystem>
#include <fstream>

#include "ops/runtime/log.hpp"
#include "storage/log/kafka_offsets.hpp"

namespace assay {
namespace {

using Steady = std::chrono::steady_clock;
using Role = PartitionReplica::Role;

constexpr std::chrono::milliseconds fenced_wait{1'000};  // see open_partition
// For a committed position. A worker that was killed in a transaction holds it back until its session ends, and then
// the copy is wanted at once.
constexpr std::chrono::milliseconds standby_wait{200};

}  // namespace

// Of one partition: when its committer was last fenced. Outlives the replica's committers.
struct Assignment::Fence {
  std::atomic<Steady::time_point> at{Steady::time_point::min()};
};

namespace {

// Tells what became of the committer.
class WatchedCommitter final : public StepCommitter {
 public:
  WatchedCommitter(std::unique_ptr<KafkaStepCommitter> committer, std::function<void(bool fenced)> broke)
      : committer_(std::move(committer)), broke_(std::move(broke)) {}
  StepOutcome commit(Step& step) override {
    const bool usable = committer_->usable();
    const auto outcome = committer_->commit(step);
    if (usable && !committer_->usable()) broke_(committer_->fenced());
    return outcome;
  }

 private:
  std::unique_ptr<KafkaStepCommitter> committer_;
  const std::function<void(bool)> broke_;
};

}  // namespace

Assignment::Assignment(AssignmentConfig config, EventSources& sources, const Clock& clock, Metrics& metrics)
    : config_(std::move(config)),
      sources_(sources),
      clock_(clock),
      metrics_(metrics),
      partitions_(metrics.gauge("assay_worker_partitions", "Partitions of assay.feedback that this worker works on")),
      standby_(metrics.gauge("assay_worker_standby_partitions", "Partitions that this worker keeps a copy of")),
      standby_ready_(metrics.gauge("assay_worker_standby_ready", "Copies that have reached the committed position")),
      refused_(metrics.gauge("assay_worker_refused", "1: the topics' partitions have changed, nothing is done")),
      member_(metrics.gauge("assay_worker_member", "1: a member of the group")),
      state_bytes_(metrics.gauge("assay_worker_state_bytes", "State on this machine's disk, all partitions")),
      assignments_(metrics.counter("assay_worker_assignments_total", "Times that the group has given partitions")),
      revocations_(metrics.counter("assay_worker_revocations_total", "Times that the group has taken partitions")),
      lost_(metrics.counter("assay_worker_lost_total", "Times that the membership was lost, not given up")),
      fenced_(metrics.counter("assay_worker_fenced_total", "Committers that another worker's took the place of")),
      fatal_(metrics.counter("assay_worker_committers_broken_total",
                             "Committers that failed for good, or whose last outcome is unknown")),
      rebuilt_(metrics.counter("assay_worker_state_rebuilt_total", "Databases thrown away because unreadable")),
      pause_seconds_(metrics.latency("assay_worker_pause_seconds",
                                     "From a revocation to the assignment that gave partitions back")) {}

Result<std::unique_ptr<Assignment>, std::string> Assignment::open(AssignmentConfig config, EventSources& sources,
                                                                  const Clock& clock, Metrics& metrics) {
  std::unique_ptr<Assignment> self(new Assignment(std::move(config), sources, clock, metrics));
  if (auto problem = self->check_count()) return *problem;
  self->remove_stale_state();
  KafkaWorkerGroup::Callbacks callbacks;
  callbacks.on_assigned = [raw = self.get()](std::vector<Partition> partitions) {
    raw->opened_.wait();
    raw->assigned(partitions);
  };
  callbacks.on_revoked = [raw = self.get()](std::vector<Partition> partitions, bool lost) {
    raw->revoked(partitions, lost);
  };
  callbacks.on_failed = self->config_.on_failed;
  auto group = KafkaWorkerGroup::open(self->config_.kafka, std::move(callbacks));
  if (!group) return group.error();
  self->group_ = std::move(*group);
  self->opened_.count_down();
  self->overseer_ = std::jthread([raw = self.get()](std::stop_token stop) { raw->oversee(stop); });
  return self;
}

// The replicas first: they ask the group, also in the step that they still finish. A callback of the group may hold
// some.
Assignment::~Assignment() {
  if (overseer_.joinable()) {
    overseer_.request_stop();
    overseer_.join();
  }
  std::vector<std::shared_ptr<PartitionReplica>> all;
  {
    std::scoped_lock lock(mutex_);
    closing_ = true;
    for (auto* replicas : {&replicas_, &ending_}) {
      for (auto& [partition, replica] : *replicas) all.push_back(std::move(replica));
      replicas->clear();
    }
  }
  for (const auto& replica : all) replica->end();  // all at once, then each is waited for
  for (const auto& replica : all) replica->wait_ended();
  all.clear();
  if (group_) group_->leave();
}

// The state on this disk was built of so many partitions: of another number its keys stand elsewhere.
std::optional<std::string> Assignment::check_count() const {
  std::error_code ec;
  std::filesystem::create_directories(config_.directory, ec);
  const auto path = config_.directory + "/count";
  const auto count = sources_.partitions(Stream::feedback);
  Partition before = 0;
  if (std::ifstream(path) >> before && before != count)
    return fmt::format(
        "{} has {} partitions, and had {} when the state in {} was built: a key's place depends on their number, which "
        "can't be changed back. Go on with new topics: `assay topics create` with another --topic-prefix",
        topic_of(config_.kafka, Stream::feedback), count, before, config_.directory);
  if (auto problem = problem_with_partitions(config_.kafka, count, config_.committed_wait)) return problem;
  std::ofstream out(path);
  out << count << "\n";
  if (!out.flush()) return "can't write " + path;
  return std::nullopt;
}

void Assignment::assigned(const std::vector<Partition>& partitions) {
  assignments_.Increment();
  {
    std::scoped_lock lock(mutex_);
    for (const auto partition : partitions) {
      auto& fence = fences_[partition];
      if (!fence) fence = std::make_shared<Fence>();
      fence->at = Steady::time_point::min();  // the group says that it is ours, now
    }
    owned_ = {partitions.begin(), partitions.end()};
    // What is not given back stays here as a copy, until the plan says where copies belong.
    if (config_.standby > 0)
      for (const auto& [partition, replica] : replicas_) copies_.insert(partition);
    for (const auto partition : partitions) copies_.erase(partition);
    if (revoked_at_ != Steady::time_point{} && !partitions.empty())
      pause_seconds_.Observe(std::chrono::duration<double>(Steady::now() - revoked_at_).count());
    revoked_at_ = {};
  }
  plan_soon_ = true;
  settle();
  count_partitions();
  spdlog::info("event=assigned partitions={}", fmt::join(partitions, ","));
}

void Assignment::revoked(const std::vector<Partition>& partitions, bool lost) {
  revocations_.Increment();
  if (lost) lost_.Increment();
  std::vector<std::shared_ptr<PartitionReplica>> pausing;
  {
    std::scoped_lock lock(mutex_);
    owned_.clear();
    revoked_at_ = Steady::now();
    for (auto& [partition, replica] : replicas_)
      if (replica->role() == Role::owner) pausing.push_back(replica);
    for (const auto& replica : pausing) replica->become(Role::paused);
  }
  for (const auto& replica : pausing) replica->wait_settled();
  count_partitions();
  spdlog::info("event=revoked partitions={} lost={}", fmt::join(partitions, ","), lost);
}

// Gives each replica the role that it has now: first those that were here before, so that they go on at once.
void Assignment::settle() {
  std::scoped_lock lock(mutex_);
  if (closing_) return;
  const auto role_of = [&](Partition partition) -> std::optional<Role> {
    if (owned_.contains(partition)) return refusal_.empty() ? Role::owner : Role::paused;
    if (copies_.contains(partition) && refusal_.empty()) return Role::standby;
    return std::nullopt;
  };
  for (auto& [partition, replica] : replicas_)
    if (const auto role = role_of(partition)) replica->become(*role);
  for (auto at = ending_.begin(); at != ending_.end();) at = at->second->ended() ? ending_.erase(at) : std::next(at);
  for (auto at = replicas_.begin(); at != replicas_.end();) {
    // What a rebalance has taken may be given back.
    const bool in_rebalance = revoked_at_ != Steady::time_point{} && at->second->role() == Role::paused;
    if (role_of(at->first) || in_rebalance) {
      ++at;
      continue;
    }
    at->second->end();
    ending_[at->first] = std::move(at->second);
    at = replicas_.erase(at);
  }
  std::set<Partition> wanted = owned_;
  wanted.insert(copies_.begin(), copies_.end());
  for (const auto partition : wanted) {
    const auto role = role_of(partition);
    if (!role || replicas_.contains(partition)) continue;
    std::shared_ptr<PartitionReplica> predecessor;
    if (const auto at = ending_.find(partition); at != ending_.end()) predecessor = at->second;
    replicas_[partition] = begin(partition, *role, std::move(predecessor));
    ending_.erase(partition);  // not before: where the system has no thread, the next try finds it there
  }
}

std::shared_ptr<PartitionReplica> Assignment::begin(Partition partition, Role role,
                                                    std::shared_ptr<PartitionReplica> predecessor) {
  ReplicaConfig replica{.loop = {.partition = partition,
                                 .policy = config_.policy,
                                 .records_max = config_.records_max,
                                 .commit_interval = config_.commit_interval},
                        .directory = config_.directory + "/" + std::to_string(partition),
                        .memory = config_.memory};
  auto& fence = fences_[partition];
  if (!fence) fence = std::make_shared<Fence>();
  PartitionReplica::Parts parts{
      .sources = sources_,
      .clock = clock_,
      .metrics = metrics_,
      .rebuilt = rebuilt_,
      .open = [this, partition, fence](KeyValue& state) { return open_partition(partition, state, *fence); },
      .committed = [this, partition] { return group_->committed(partition, standby_wait); }};
  return std::make_shared<PartitionReplica>(std::move(replica), std::move(parts), role, std::move(predecessor));
}

// Opening fences whoever writes for the partition. One who was fenced himself has most likely lost it and does not know
// yet: he gives the group the time to tell him, some heartbeats, before he fences the rightful owner in turn.
Result<OpenedPartition> Assignment::open_partition(Partition partition, KeyValue& state, Fence& fence) {
  const auto fenced_at = fence.at.load();
  if (fenced_at != Steady::time_point::min() && Steady::now() - fenced_at < fenced_wait) return Error::log_unavailable;
  const auto ours = [&] {
    std::scoped_lock lock(mutex_);
    return owned_.contains(partition) && refusal_.empty();
  };
  if (!group_->joined() || !ours()) return Error::log_unavailable;
  // Fenced first: a predecessor that was killed in a transaction holds its offsets back until that is aborted.
  auto committer = KafkaStepCommitter::open(
      config_.kafka, partition, state, [this] { return group_->metadata(); }, 0);
  if (!committer) return committer.error();
  const auto committed = group_->committed(partition, config_.committed_wait);
  if (!committed) return committed.error();
  (*committer)->start_at(*committed);
  (*committer)->note(partitions_note(sources_.partitions(Stream::feedback)));
  auto broke = [this, &fence](bool fenced) {
    if (fenced) fence.at = Steady::now();
    (fenced ? fenced_ : fatal_).Increment();
  };
  return OpenedPartition{std::make_unique<WatchedCommitter>(std::move(*committer), std::move(broke)), *committed};
}

Result<void> Assignment::ready() const {
  if (!group_ || !group_->joined()) return NotReady::unassigned;
  std::scoped_lock lock(mutex_);
  if (!refusal_.empty()) return Error::log_changed;
  bool reading = false;
  for (const auto partition : owned_) {
    const auto at = replicas_.find(partition);
    if (at != replicas_.end() && at->second->caught_up()) continue;
    if (at != replicas_.end() && at->second->failing()) return NotReady::failing;
    reading = true;
  }
  return reading ? Result<void>(NotReady::reading) : Result<void>();
}

bool Assignment::live() const {
  std::scoped_lock lock(mutex_);
  return std::ranges::none_of(replicas_, [](const auto& one) { return one.second->stuck(); });
}

std::string Assignment::refusal() const {
  std::scoped_lock lock(mutex_);
  return refusal_;
}

std::vector<Partition> Assignment::owned() const {
  std::scoped_lock lock(mutex_);
  return {owned_.begin(), owned_.end()};
}

}  // namespace assay
