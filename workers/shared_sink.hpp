#pragma once
// One sink that several workers on Kafka share by partitions: the group gives each some partitions of assay.assessments
// and the same ones of assay.traces, and keeps the positions.
#include <functional>
#include <latch>
#include <memory>
#include <mutex>

#include "storage/log/kafka_group.hpp"
#include "storage/sinks/positions.hpp"
#include "workers/committer.hpp"

namespace assay {

// Positions in the group's offsets; what was deleted is remembered by this worker alone.
class KafkaPositions final : public PositionStore {
 public:
  KafkaPositions(const KafkaWorkerGroup& group, PositionStore& local) : group_(group), local_(local) {}
  Result<Offset> load(StreamPartition of) override { return group_.committed(of, std::chrono::seconds(10)); }
  Result<void> save(std::span<const Position> positions) override;
  Result<void> end(std::string_view id) override { return local_.end(id); }
  Result<bool> ended(std::string_view id) override { return local_.ended(id); }

 private:
  const KafkaWorkerGroup& group_;
  PositionStore& local_;
};

class SharedSink {
 public:
  using Make = std::function<std::unique_ptr<AssessmentSink>(PositionStore& positions)>;
  // `name` is the sink's: the group is "sink-<name>". `local` keeps what the group can't. All that is referred to
  // outlives it. An error is a sentence.
  static Result<std::unique_ptr<SharedSink>, std::string> open(const KafkaConfig& kafka, const std::string& name,
                                                               EventSources& sources, KeyValue& local, Make make,
                                                               Metrics& metrics);
  ~SharedSink();

 private:
  SharedSink(const std::string& name, EventSources& sources, KeyValue& local, Make make, Metrics& metrics)
      : sources_(sources), local_(local, name), make_(std::move(make)), metrics_(metrics) {}
  void assigned(std::vector<Partition> partitions);
  void revoked();

  EventSources& sources_;
  KeyValuePositions local_;
  const Make make_;
  Metrics& metrics_;
  std::latch opened_{1};
  std::unique_ptr<KafkaPositions> positions_;
  std::unique_ptr<AssessmentSink> sink_;  // the group's thread only, as the committer
  std::unique_ptr<Committer> committer_;
  std::unique_ptr<KafkaWorkerGroup> group_;
};

}  // namespace assay
