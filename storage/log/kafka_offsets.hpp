#pragma once
// What a cluster says about positions: how far a group has committed, and where partitions begin and end. Asks the
// brokers each time; blocks.
#include <map>
#include <span>
#include <vector>

#include "storage/log/kafka_config.hpp"

namespace assay {

class KafkaOffsets {
 public:
  // `group`: whose committed positions are asked for, without the prefix: "resolve", "sink-mlflow". Joins nothing.
  static Result<std::unique_ptr<KafkaOffsets>, std::string> open(const KafkaConfig& config, const std::string& group);

  using Offsets = std::map<StreamPartition, Offset>;
  // Those that the group has committed; waits for open transactions that commit one. A partition without is left out.
  Result<Offsets> committed(std::span<const StreamPartition> of, std::chrono::milliseconds limit) const;
  // One past the last record that a read-committed reader would see.
  Result<Offsets> ends(std::span<const StreamPartition> of, std::chrono::milliseconds limit) const;
  // The first that is still there.
  Result<Offsets> begins(std::span<const StreamPartition> of, std::chrono::milliseconds limit) const;
  // The first that was written at that time or later; one past the last where there is none.
  Result<Offsets> since(std::span<const StreamPartition> of, Instant at, std::chrono::milliseconds limit) const;

  // Sets what the group has committed. Error::unsupported while it has members: theirs would win.
  Result<void> commit(const Offsets& positions) const;

  struct Group {
    std::string name;     // without the prefix
    std::string state;    // as the broker calls it: Stable, Empty, …
    std::size_t members;  // that it has now
  };
  // Groups whose name begins with the prefix and `name`.
  Result<std::vector<Group>> groups(const std::string& name, std::chrono::milliseconds limit) const;

 private:
  explicit KafkaOffsets(KafkaConfig config) : config_(std::move(config)) {}
  Result<Offsets> listed(std::span<const StreamPartition> of, Offset at, std::chrono::milliseconds limit) const;
  KafkaPartitions list_of(std::span<const StreamPartition> of, Offset offset) const;

  const KafkaConfig config_;
  KafkaHandle client_;
};

}  // namespace assay
