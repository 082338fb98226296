#include "workers/shared_sink.hpp"

namespace assay {

Result<void> KafkaPositions::commit(std::span<const Position> positions, std::string_view note) {
  std::vector<std::pair<StreamPartition, Offset>> offsets;
  for (const auto& position : positions) offsets.emplace_back(position.of, position.next);
  return offsets.empty() ? Result<void>() : group_.commit(offsets, note);
}

Result<std::unique_ptr<SharedSink>, std::string> SharedSink::open(const KafkaConfig& kafka, const std::string& name,
                                                                  EventSources& sources, Make make, Owns owns,
                                                                  Metrics& metrics, Failed failed) {
  std::unique_ptr<SharedSink> self(new SharedSink(sources, std::move(make), std::move(owns), metrics));
  KafkaWorkerGroup::Callbacks callbacks;
  callbacks.on_assigned = [raw = self.get()](std::vector<Partition> partitions) {
    raw->opened_.wait();
    raw->assigned(std::move(partitions));
  };
  callbacks.on_revoked = [raw = self.get()](std::vector<Partition>, bool) { raw->revoked(); };
  callbacks.on_failed = std::move(failed);
  auto group = KafkaWorkerGroup::open(kafka, std::move(callbacks), {"sink-" + name, Stream::assessments});
  if (!group) return group.error();
  self->group_ = std::move(*group);
  self->positions_ = std::make_unique<KafkaPositions>(*self->group_);
  self->opened_.count_down();
  return self;
}

SharedSink::~SharedSink() {
  if (group_) group_->leave();  // its last callback ends the committer, which still saves its positions
  revoked();
}

void SharedSink::assigned(std::vector<Partition> partitions) {
  revoked();
  if (partitions.empty()) return;
  if (owns_) owns_(partitions);
  sink_ = make_(*positions_);
  CommitterOptions options;
  options.partitions = std::move(partitions);
  options.stuck_after = remote_stuck_after;
  auto committer = std::make_unique<Committer>(sources_, *sink_, metrics_, std::move(options));
  committer->start();
  std::scoped_lock lock(mutex_);
  committer_ = std::move(committer);
}

void SharedSink::revoked() {
  if (owns_) owns_({});
  std::unique_ptr<Committer> ending;
  {
    std::scoped_lock lock(mutex_);
    ending = std::move(committer_);
  }
  ending.reset();
  sink_.reset();
}

bool SharedSink::stuck() const {
  std::scoped_lock lock(mutex_);
  return committer_ && committer_->stuck();
}

}  // namespace assay
