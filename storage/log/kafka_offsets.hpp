#pragma once
// What a cluster says about positions: how far a group has committed, and where partitions begin and end. Asks the
// brokers each time; blocks.
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "storage/log/kafka_config.hpp"

namespace assay {

// Kept with what a group commits of positions that its sink keeps elsewhere: they decide nothing. DO NOT CHANGE.
inline constexpr std::string_view mirrored_note = "mirrored";

class KafkaOffsets {
 public:
  // What a transaction that has not ended says of a group's positions: waited for, or passed over.
  enum class Open { waited_for, passed_over };
  // `group`: whose committed positions are asked for, without the prefix: "resolve", "sink-mlflow". Joins nothing.
  static Result<std::unique_ptr<KafkaOffsets>, std::string> open(const KafkaConfig& config, const std::string& group,
                                                                 Open transactions = Open::waited_for);

  using Offsets = std::map<StreamPartition, Offset>;
  // Those that the group has committed; waits for open transactions that commit one, where it
  // is opened so. A partition without is left out.
  Result<Offsets> committed(std::span<const StreamPartition> of, std::chrono::milliseconds limit) const;
  // What is kept with those that the group has committed; empty where nothing is.
  Result<std::vector<std::string>> notes(std::span<const StreamPartition> of, std::chrono::milliseconds limit) const;
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
  Result<Offsets> listed_once(std::span<const StreamPartition> of, Offset at, std::chrono::milliseconds limit) const;
  Result<Offsets> listed(std::span<const StreamPartition> of, Offset at, std::chrono::milliseconds limit) const;
  KafkaPartitions list_of(std::span<const StreamPartition> of, Offset offset) const;

  const KafkaConfig config_;
  KafkaHandle client_;
};

// The workers keep with their positions in how many partitions the keys of feedback were placed. In a sentence that it
// was another number than `count`; none where it was not, or nobody says so.
std::string partitions_note(Partition count);
std::optional<std::string> problem_with_partitions(const KafkaConfig& config, Partition count,
                                                   std::chrono::milliseconds limit);

}  // namespace assay
