#pragma once
// The chat closers of several workers on Kafka: the group gives each some partitions of assay.traces, and keeps how far
// they have come.
#include <latch>
#include <memory>
#include <mutex>

#include "storage/log/kafka_group.hpp"
#include "workers/chat_closer.hpp"

namespace assay {

class ChatCloserGroup {
 public:
  using Failed = std::function<void(std::string why)>;
  // All that is referred to outlives it. An error is a sentence. `failed`: see KafkaWorkerGroup::Callbacks::on_failed.
  static Result<std::unique_ptr<ChatCloserGroup>, std::string> open(const KafkaConfig& kafka, EventSources& sources,
                                                                    AppendRecord append, const Clock& clock,
                                                                    Metrics& metrics, Failed failed);
  ~ChatCloserGroup();

  // For /livez: see ChatCloser::stuck(). Thread-safe.
  bool stuck() const;

 private:
  ChatCloserGroup(EventSources& sources, AppendRecord append, const Clock& clock, Metrics& metrics)
      : sources_(sources), append_(std::move(append)), clock_(clock), metrics_(metrics) {}
  void assigned(std::vector<Partition> partitions);
  void end_closer();

  EventSources& sources_;
  const AppendRecord append_;
  const Clock& clock_;
  Metrics& metrics_;
  std::latch opened_{1};                // group_ is there
  mutable std::mutex mutex_;            // of the closer's pointer against stuck()
  std::unique_ptr<ChatCloser> closer_;  // the group's thread only
  std::unique_ptr<KafkaWorkerGroup> group_;
};

}  // namespace assay
