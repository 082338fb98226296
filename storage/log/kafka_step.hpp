#pragma once
// The atomic step on Kafka: outputs and feedback position in one transaction, then the state, which is a cache.
#include <functional>

#include "storage/log/kafka_config.hpp"
#include "storage/log/step.hpp"

namespace assay {

// For one partition that this worker owns. Its transactional.id is the partition's, so that whoever opens one for the
// same partition fences its predecessor, whose open transaction is aborted at once.
//
// A position is only committed by the generation of the group that metadata() names: a worker whose partition has been
// given away gets `aborted`.
//
// One thread at a time. Blocks: up to transaction_timeout for each of open and commit (and an abort after it).
class KafkaStepCommitter final : public StepCommitter {
 public:
  using Metadata = std::function<KafkaGroupMetadata()>;  // KafkaWorkerGroup::metadata

  // Fences. `position`: the group's committed feedback position of the partition, which an empty step need not commit
  // again. `state` outlives the committer. Errors: log_unavailable (try again), or Kafka's, logged.
  static Result<std::unique_ptr<KafkaStepCommitter>> open(const KafkaConfig& config, Partition partition,
                                                          KeyValue& state, Metadata metadata, Offset position);

  // Before the first commit(), where the position could not be known at open(): while a predecessor's transaction is
  // open the group does not tell it.
  void start_at(Offset position) { position_ = position; }
  // Kept with each position that is committed.
  void note(std::string text) { note_ = std::move(text); }

  // `unknown` where the transaction's end was asked for and its answer did not come, also when someone else has fenced
  // this committer meanwhile; and when the state could not be written after the commit. The outputs are copied.
  StepOutcome commit(Step& step) override;

  // False after a fatal error or `unknown`: every further commit() is `aborted`, nothing is tried. Open another one,
  // unless it was fenced.
  bool usable() const { return usable_; }
  // Another committer has the partition: give it up.
  bool fenced() const { return fenced_; }

 private:
  std::optional<std::string> make_client_of(const KafkaConfig& config);
  KafkaStepCommitter(const KafkaConfig& config, Partition partition, KeyValue& state, Metadata metadata,
                     Offset position);
  StepOutcome transact(const Step& step, Offset position);
  bool send_offsets(Offset position, std::chrono::steady_clock::time_point deadline);
  StepOutcome end(std::chrono::steady_clock::time_point deadline);
  StepOutcome abort();
  StepOutcome failed(const char* act, const rd_kafka_error_t* error);

  const std::string feedback_topic_;
  const Partition partition_;
  const std::chrono::milliseconds timeout_;
  KeyValue& state_;
  const Metadata metadata_;
  std::string note_;
  KafkaHandle client_;
  std::array<KafkaTopic, std::size(all_streams) + 1> topics_;  // by the stream's number
  Offset position_;                                            // committed
  bool usable_ = true;
  bool fenced_ = false;
};

}  // namespace assay
