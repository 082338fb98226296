#pragma once
// The partitions of assay.feedback that this worker owns on Kafka, and those that it keeps warm copies of, won and lost
// as the group decides: each is a PartitionReplica.
//
// Strategy `range` takes everything away before it gives anew: on a revocation all owners pause, after the step in
// hand; what the next assignment gives back goes on at once, and only the rest is closed. What is on disk is a cache of
// the log.
#include <functional>
#include <latch>
#include <map>
#include <memory>
#include <set>

#include "storage/db/db.hpp"
#include "storage/log/kafka_group.hpp"
#include "storage/log/kafka_step.hpp"
#include "workers/not_ready.hpp"
#include "workers/partition_replica.hpp"

namespace assay {

struct AssignmentConfig {
  KafkaConfig kafka;
  std::string directory;  // each partition's database is in <directory>/<partition>
  DbMemory memory = DbMemory::with(64u << 20, 64u << 20);
  ResolvePolicy policy;
  std::size_t records_max = 4096;  // of one step
  std::chrono::milliseconds commit_interval{50};
  int standby = 0;  // warm copies of each partition, on other workers
  std::chrono::milliseconds committed_wait{10'000};
  // Whether the topics still have the partitions that they had at the start, and if not, what is wrong, in a sentence:
  // then this worker does nothing until they have.
  std::function<std::optional<std::string>()> topics_changed = [] { return std::nullopt; };
  // It can do nothing more, and why, in a sentence; on the group's thread.
  std::function<void(std::string)> on_failed = [](std::string) {};
};

class Assignment {
 public:
  // Joins the group. All that is referred to outlives it. An error is a sentence.
  static Result<std::unique_ptr<Assignment>, std::string> open(AssignmentConfig config, EventSources& sources,
                                                               const Clock& clock, Metrics& metrics);
  // Finishes the steps in hand, leaves the group.
  ~Assignment();

  // For /readyz: a member, and every partition that it owns has read what there was; else what keeps it (NotReady, or
  // Error::log_changed). Thread-safe.
  Result<void> ready() const;
  // For /livez: no step takes longer than any wait for Kafka in it may. Thread-safe.
  bool live() const;
  // What keeps it from working, in a sentence; empty: nothing. Thread-safe.
  std::string refusal() const;
  std::vector<Partition> owned() const;

 private:
  struct Fence;

  Assignment(AssignmentConfig config, EventSources& sources, const Clock& clock, Metrics& metrics);
  std::optional<std::string> check_count() const;
  void assigned(const std::vector<Partition>& partitions);
  void revoked(const std::vector<Partition>& partitions, bool lost);
  void settle();
  std::shared_ptr<PartitionReplica> begin(Partition partition, PartitionReplica::Role role,
                                          std::shared_ptr<PartitionReplica> predecessor);
  Result<OpenedPartition> open_partition(Partition partition, KeyValue& state, Fence& fence);
  void oversee(std::stop_token stop);
  void check_topics();
  void count_partitions();
  void plan_standby();
  void remove_stale_state();
  void count();

  const AssignmentConfig config_;
  EventSources& sources_;
  const Clock& clock_;
  Metrics& metrics_;
  Gauge &partitions_, &standby_, &standby_ready_, &refused_, &member_, &state_bytes_;
  Counter &assignments_, &revocations_, &lost_, &fenced_, &fatal_, &rebuilt_;
  Histogram& pause_seconds_;

  mutable std::mutex mutex_;  // of all that follows, but for the group
  std::map<Partition, std::shared_ptr<Fence>> fences_;
  std::map<Partition, std::shared_ptr<PartitionReplica>> replicas_, ending_;
  std::set<Partition> owned_, copies_;
  std::string refusal_;
  bool closing_ = false;
  std::chrono::steady_clock::time_point revoked_at_{};
  std::atomic<bool> plan_soon_{false};

  std::latch opened_{1};  // group_ is there
  std::unique_ptr<KafkaWorkerGroup> group_;
  std::jthread overseer_;
};

}  // namespace assay
