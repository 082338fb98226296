#include "workers/chat_closer_group.hpp"

namespace assay {

Result<std::unique_ptr<ChatCloserGroup>, std::string> ChatCloserGroup::open(const KafkaConfig& kafka,
                                                                            EventSources& sources, AppendRecord append,
                                                                            const Clock& clock, Metrics& metrics,
                                                                            Failed failed) {
  std::unique_ptr<ChatCloserGroup> self(new ChatCloserGroup(sources, std::move(append), clock, metrics));
  KafkaWorkerGroup::Callbacks callbacks;
  callbacks.on_assigned = [raw = self.get()](std::vector<Partition> partitions) {
    raw->opened_.wait();
    raw->assigned(std::move(partitions));
  };
  callbacks.on_revoked = [raw = self.get()](std::vector<Partition>, bool) { raw->end_closer(); };
  callbacks.on_failed = std::move(failed);
  auto group = KafkaWorkerGroup::open(kafka, std::move(callbacks), {"chats", Stream::traces});
  if (!group) return group.error();
  self->group_ = std::move(*group);
  self->opened_.count_down();
  return self;
}

ChatCloserGroup::~ChatCloserGroup() {
  if (group_) group_->leave();  // its last callback ends the closer, which still saves its positions
}

void ChatCloserGroup::assigned(std::vector<Partition> partitions) {
  end_closer();
  if (partitions.empty()) return;
  const ChatPositions positions{
      .load = [this](StreamPartition of) { return group_->committed(of, std::chrono::seconds(10)); },
      .save = [this](auto moved) { return group_->commit(moved); }};
  auto closer = std::make_unique<ChatCloser>(ChatCloserConfig{.partitions = std::move(partitions)}, sources_, positions,
                                             append_, clock_, metrics_);
  closer->start();
  std::scoped_lock lock(mutex_);
  closer_ = std::move(closer);
}

void ChatCloserGroup::end_closer() {
  std::unique_ptr<ChatCloser> ending;
  {
    std::scoped_lock lock(mutex_);
    ending = std::move(closer_);
  }
  ending.reset();
}

bool ChatCloserGroup::stuck() const {
  std::scoped_lock lock(mutex_);
  return closer_ && closer_->stuck();
}

}  // namespace assay
