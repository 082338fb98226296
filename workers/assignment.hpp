#pragma once
// The partitions of assay.feedback that this worker owns on Kafka, won and lost as the group decides: each has its own
// database and its own resolver thread.
//
// A database stays open across a revocation (strategy `range` takes everything away before it gives anew) and is closed
// only when the next assignment does not give its partition back. What is on disk is a cache of the log.
#include <latch>
#include <map>
#include <memory>

#include "storage/db/db.hpp"
#include "storage/log/kafka_group.hpp"
#include "storage/log/kafka_step.hpp"
#include "workers/resolver_thread.hpp"

namespace assay {

struct AssignmentConfig {
  KafkaConfig kafka;
  std::string directory;  // each partition's database is in <directory>/<partition>
  DbMemory memory = DbMemory::with(64u << 20, 64u << 20);
  ResolvePolicy policy;
  std::chrono::milliseconds committed_wait{10'000};
};

class Assignment {
 public:
  // Joins the group. All that is referred to outlives it. An error is a sentence.
  static Result<std::unique_ptr<Assignment>, std::string> open(AssignmentConfig config, EventSources& sources,
                                                               const Clock& clock, Metrics& metrics);
  // Finishes the steps in hand, leaves the group.
  ~Assignment();

  // For /readyz: a member, and every partition that it owns has read what there was. Thread-safe.
  bool caught_up() const;
  // Another process has taken our instance id: this one can do nothing more. Thread-safe.
  bool failed() const { return group_ && group_->failed(); }
  std::vector<Partition> owned() const;

 private:
  struct Owned;

  Assignment(AssignmentConfig config, EventSources& sources, const Clock& clock, Metrics& metrics);
  void assigned(const std::vector<Partition>& partitions);
  void revoked(const std::vector<Partition>& partitions, bool lost);
  Result<OpenedPartition> open_partition(Owned& owned);

  const AssignmentConfig config_;
  EventSources& sources_;
  const Clock& clock_;
  Metrics& metrics_;
  Gauge& partitions_;
  Counter& assignments_;
  mutable std::mutex mutex_;  // of the map, against those who ask
  std::map<Partition, std::unique_ptr<Owned>> owned_;
  std::latch opened_{1};  // group_ is there
  std::unique_ptr<KafkaWorkerGroup> group_;
};

}  // namespace assay
