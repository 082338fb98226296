#pragma once
// One sink that several workers on Kafka share by partitions: the group gives each some partitions of assay.assessments
// and the same ones of assay.traces, and keeps the positions.
#include <functional>
#include <latch>
#include <memory>
#include <mutex>

#include "storage/log/kafka_group.hpp"
#include "storage/log/kafka_offsets.hpp"
#include "storage/sinks/positions.hpp"
#include "workers/committer.hpp"

namespace assay {

// Positions in the group's offsets.
class KafkaPositions final : public PositionStore {
 public:
  explicit KafkaPositions(const KafkaWorkerGroup& group) : group_(group) {}
  Result<Offset> load(StreamPartition of) override { return group_.committed(of, std::chrono::seconds(10)); }
  Result<void> save(std::span<const Position> positions) override { return commit(positions, {}); }
  Result<void> mirror(std::span<const Position> positions) override { return commit(positions, mirrored_note); }

 private:
  Result<void> commit(std::span<const Position> positions, std::string_view note);
  const KafkaWorkerGroup& group_;
};

class SharedSink {
 public:
  using Failed = std::function<void(std::string why)>;
  using Make = std::function<std::unique_ptr<AssessmentSink>(PositionStore& positions)>;
  // Told which partitions this worker has now: what one of all workers does, the owner of partition 0 does. Quick.
  using Owns = std::function<void(const std::vector<Partition>& partitions)>;
  // `name` is the sink's: the group is "sink-<name>". All that is referred to outlives it. An error is a sentence.
  // `failed`: see KafkaWorkerGroup::Callbacks::on_failed.
  static Result<std::unique_ptr<SharedSink>, std::string> open(const KafkaConfig& kafka, const std::string& name,
                                                               EventSources& sources, Make make, Owns owns,
                                                               Metrics& metrics, Failed failed);
  ~SharedSink();

  // For /livez: see Committer::stuck(). Thread-safe.
  bool stuck() const;

 private:
  SharedSink(EventSources& sources, Make make, Owns owns, Metrics& metrics)
      : sources_(sources), make_(std::move(make)), owns_(std::move(owns)), metrics_(metrics) {}
  void assigned(std::vector<Partition> partitions);
  void revoked();

  EventSources& sources_;
  const Make make_;
  const Owns owns_;
  Metrics& metrics_;
  std::latch opened_{1};
  std::unique_ptr<KafkaPositions> positions_;
  std::unique_ptr<AssessmentSink> sink_;  // the group's thread only, as the committer
  mutable std::mutex mutex_;              // of the committer's pointer against stuck()
  std::unique_ptr<Committer> committer_;
  std::unique_ptr<KafkaWorkerGroup> group_;
};

}  // namespace assay
