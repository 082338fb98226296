#include "workers/assignment.hpp"

#include <atomic>
#include <filesystem>

#include "ops/runtime/log.hpp"
#include "storage/state/seen.hpp"

namespace assay {
namespace {

using Steady = std::chrono::steady_clock;

// Remembers that the committer was fenced: see open_partition.
class WatchedCommitter final : public StepCommitter {
 public:
  WatchedCommitter(std::unique_ptr<KafkaStepCommitter> committer, std::atomic<Steady::time_point>& fenced_at)
      : committer_(std::move(committer)), fenced_at_(fenced_at) {}
  StepOutcome commit(Step& step) override {
    const auto outcome = committer_->commit(step);
    if (committer_->fenced()) fenced_at_ = Steady::now();
    return outcome;
  }

 private:
  std::unique_ptr<KafkaStepCommitter> committer_;
  std::atomic<Steady::time_point>& fenced_at_;
};

}  // namespace

struct Assignment::Owned {
  Partition partition = 0;
  std::unique_ptr<Db> db;
  std::atomic<std::int64_t> seen_cutoff_ms{0};
  std::atomic<Steady::time_point> fenced_at{Steady::time_point::min()};
  std::unique_ptr<ResolverThread> thread;  // null: revoked for now
};

Assignment::Assignment(AssignmentConfig config, EventSources& sources, const Clock& clock, Metrics& metrics)
    : config_(std::move(config)),
      sources_(sources),
      clock_(clock),
      metrics_(metrics),
      partitions_(metrics.gauge("assay_worker_partitions", "Partitions of assay.feedback that this worker owns")),
      assignments_(metrics.counter("assay_worker_assignments_total", "Times that the group has given partitions")) {}

Result<std::unique_ptr<Assignment>, std::string> Assignment::open(AssignmentConfig config, EventSources& sources,
                                                                  const Clock& clock, Metrics& metrics) {
  std::unique_ptr<Assignment> self(new Assignment(std::move(config), sources, clock, metrics));
  KafkaWorkerGroup::Callbacks callbacks;
  callbacks.on_assigned = [raw = self.get()](std::vector<Partition> partitions) {
    raw->opened_.wait();
    raw->assigned(partitions);
  };
  callbacks.on_revoked = [raw = self.get()](std::vector<Partition> partitions, bool lost) {
    raw->revoked(partitions, lost);
  };
  auto group = KafkaWorkerGroup::open(self->config_.kafka, std::move(callbacks));
  if (!group) return group.error();
  self->group_ = std::move(*group);
  self->opened_.count_down();
  return self;
}

Assignment::~Assignment() { group_.reset(); }

void Assignment::assigned(const std::vector<Partition>& partitions) {
  assignments_.Increment();
  {
    std::scoped_lock lock(mutex_);
    std::erase_if(owned_, [&](const auto& entry) {
      return std::find(partitions.begin(), partitions.end(), entry.first) == partitions.end();
    });
  }
  for (const auto partition : partitions) {
    Owned* owned = nullptr;
    {
      std::scoped_lock lock(mutex_);
      auto& slot = owned_[partition];
      if (!slot) slot = std::make_unique<Owned>();
      owned = slot.get();
      owned->partition = partition;
    }
    PartitionLoopConfig loop{.partition = partition, .policy = config_.policy};
    if (!owned->db) {
      DbConfig db{.directory = config_.directory + "/" + std::to_string(partition), .memory = config_.memory};
      db.drop = [owned](Family family, std::string_view, std::string_view value) {
        return family == Family::seen &&
               seen_may_go(value, Instant(std::chrono::milliseconds(owned->seen_cutoff_ms.load())));
      };
      std::error_code ignored;
      std::filesystem::create_directories(config_.directory, ignored);
      auto opened = Db::open(std::move(db));
      if (!opened) {
        // The partition stays ours and unread: /readyz says so, and the log keeps everything.
        spdlog::error("event=partition_failed partition={} problem=\"{}\"", partition, opened.error());
        continue;
      }
      owned->db = std::move(*opened);
    }
    owned->seen_cutoff_ms = (clock_.now() - config_.policy.dedupe_window).time_since_epoch().count();
    auto thread = std::make_unique<ResolverThread>(
        loop, sources_, *owned->db, [this, owned] { return open_partition(*owned); }, clock_, metrics_, nullptr);
    std::scoped_lock lock(mutex_);
    owned->thread = std::move(thread);
  }
  partitions_.Set(static_cast<double>(partitions.size()));
  spdlog::info("event=assigned partitions={}", partitions.size());
}

void Assignment::revoked(const std::vector<Partition>& partitions, bool lost) {
  std::vector<std::unique_ptr<ResolverThread>> ending;
  {
    std::scoped_lock lock(mutex_);
    for (auto& [partition, owned] : owned_)
      if (owned->thread) ending.push_back(std::move(owned->thread));
  }
  for (auto& thread : ending) thread->stop();  // all at once, then wait for each
  ending.clear();
  partitions_.Set(0);
  spdlog::info("event=revoked partitions={} lost={}", partitions.size(), lost);
}

// Opening fences whoever writes for the partition. One who was fenced himself has most likely lost it and does not know
// yet: he gives the group the time to tell him, before he fences the rightful owner in turn.
Result<OpenedPartition> Assignment::open_partition(Owned& owned) {
  const auto fenced_at = owned.fenced_at.load();
  if (fenced_at != Steady::time_point::min() && Steady::now() - fenced_at < config_.kafka.session_timeout)
    return Error::log_unavailable;
  if (!group_->joined()) return Error::log_unavailable;
  // Fenced first: a predecessor that was killed in a transaction holds its offsets back until that is aborted.
  auto committer = KafkaStepCommitter::open(
      config_.kafka, owned.partition, *owned.db, [this] { return group_->metadata(); }, 0);
  if (!committer) return committer.error();
  const auto committed = group_->committed(owned.partition, config_.committed_wait);
  if (!committed) return committed.error();
  (*committer)->start_at(*committed);
  return OpenedPartition{std::make_unique<WatchedCommitter>(std::move(*committer), owned.fenced_at), *committed};
}

bool Assignment::caught_up() const {
  if (!group_ || !group_->joined()) return false;
  std::scoped_lock lock(mutex_);
  for (const auto& [partition, owned] : owned_)
    if (!owned->thread || !owned->thread->caught_up()) return false;
  return true;
}

std::vector<Partition> Assignment::owned() const {
  std::scoped_lock lock(mutex_);
  std::vector<Partition> out;
  for (const auto& [partition, owned] : owned_)
    if (owned->thread) out.push_back(partition);
  return out;
}

}  // namespace assay
