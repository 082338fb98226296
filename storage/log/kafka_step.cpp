#include "storage/log/kafka_step.hpp"

#include <cstring>
#include <thread>

#include "ops/runtime/log.hpp"
#include "storage/log/kafka_error.hpp"
#include "storage/log/kafka_producer.hpp"

namespace assay {
namespace {

using Steady = std::chrono::steady_clock;
constexpr std::chrono::milliseconds step_retry_after{20};
constexpr int impatient_tries = 2;
constexpr std::chrono::milliseconds impatient_wait{150};

int milliseconds_until(Steady::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Steady::now()).count();
  return std::max(1, static_cast<int>(left));
}

// What librdkafka says when a newer producer has our transactional.id.
bool is_fenced(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR__FENCED || code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
         code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
}

}  // namespace

KafkaStepCommitter::KafkaStepCommitter(const KafkaConfig& config, Partition partition, KeyValue& state,
                                       Metadata metadata, Offset position)
    : feedback_topic_(topic_of(config, Stream::feedback)),
      partition_(partition),
      timeout_(step_timeout(config)),
      state_(state),
      metadata_(std::move(metadata)),
      position_(position) {}

std::optional<std::string> KafkaStepCommitter::make_client_of(const KafkaConfig& config) {
  auto conf = transactional_conf(config, partition_);
  auto client = conf ? make_client(RD_KAFKA_PRODUCER, std::move(*conf)) : conf.error();
  if (!client) return client.error();
  for (auto& topic : topics_) topic.reset();
  client_ = std::move(*client);
  for (const auto stream : all_streams)
    topics_[static_cast<std::size_t>(stream)].reset(
        rd_kafka_topic_new(client_.get(), topic_of(config, stream).c_str(), nullptr));
  return {};
}

Result<std::unique_ptr<KafkaStepCommitter>> KafkaStepCommitter::open(const KafkaConfig& config, Partition partition,
                                                                     KeyValue& state, Metadata metadata,
                                                                     Offset position) {
  const auto deadline = Steady::now() + step_timeout(config);
  std::unique_ptr<KafkaStepCommitter> committer(
      new KafkaStepCommitter(config, partition, state, std::move(metadata), position));
  // Where a predecessor was killed in a transaction the first answer is "not yet", while the broker aborts that, and
  // librdkafka asks again after half a second. A new client asks at once.
  for (int impatient = impatient_tries;; --impatient) {
    if (impatient >= 0)
      if (const auto problem = committer->make_client_of(config)) {
        spdlog::error("event=kafka_committer_not_opened partition={} error=\"{}\"", partition, *problem);
        return Error::unsupported;
      }
    const auto until = impatient > 0 ? std::min(deadline, Steady::now() + impatient_wait) : deadline;
    KafkaFailure failure(rd_kafka_init_transactions(committer->client_.get(), milliseconds_until(until)));
    if (!failure) return committer;
    const auto code = rd_kafka_error_code(failure.get());
    if (impatient > 0 && code == RD_KAFKA_RESP_ERR__TIMED_OUT) continue;
    if (rd_kafka_error_is_retriable(failure.get()) && Steady::now() + step_retry_after < deadline) {
      std::this_thread::sleep_for(step_retry_after);
      continue;
    }
    spdlog::warn("event=kafka_committer_not_opened partition={} error=\"{}\"", partition,
                 rd_kafka_error_string(failure.get()));
    return rd_kafka_error_is_retriable(failure.get()) ? error_code(Error::log_unavailable) : read_error(code);
  }
}

StepOutcome KafkaStepCommitter::commit(Step& step) {
  if (!usable_) return StepOutcome::aborted;
  // Else never back: a record would be decided twice.
  const auto position = step.moves_back ? step.feedback_position : std::max(step.feedback_position, position_);
  if (!step.outputs.empty() || position != position_) {
    if (const auto outcome = transact(step, position); outcome != StepOutcome::committed) return outcome;
    position_ = position;
  }
  if (step.state.empty()) return StepOutcome::committed;
  if (auto written = state_.write(step.state); !written) {
    spdlog::error("event=state_not_written partition={} error=\"{}\"", partition_, written.error().message());
    usable_ = false;
    return StepOutcome::unknown;
  }
  return StepOutcome::committed;
}

StepOutcome KafkaStepCommitter::transact(const Step& step, Offset position) {
  const auto deadline = Steady::now() + timeout_;
  if (KafkaFailure failure(rd_kafka_begin_transaction(client_.get())); failure) return failed("begin", failure.get());
  for (const auto& record : step.outputs) {
    auto* topic = topics_[static_cast<std::size_t>(record.stream)].get();
    for (;;) {
      const auto code = produce_record(client_.get(), topic, record, RD_KAFKA_MSG_F_COPY, nullptr);
      if (code == RD_KAFKA_RESP_ERR_NO_ERROR) break;
      if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL && Steady::now() < deadline) {
        rd_kafka_flush(client_.get(), 10);  // a step larger than the queue goes out in pieces
        continue;
      }
      spdlog::warn("event=kafka_step_output_refused partition={} topic={} error=\"{}\"", partition_,
                   rd_kafka_topic_name(topic), rd_kafka_err2str(code));
      fenced_ = fenced_ || is_fenced(code);
      return abort();
    }
  }
  // Also where it has not moved: the group refuses it to a worker that no longer owns the partition.
  if (!send_offsets(position, deadline)) return abort();
  return end(deadline);
}

bool KafkaStepCommitter::send_offsets(Offset position, Steady::time_point deadline) {
  const auto metadata = metadata_();
  if (!metadata) return false;
  KafkaPartitions offsets(rd_kafka_topic_partition_list_new(1));
  auto* entry = rd_kafka_topic_partition_list_add(offsets.get(), feedback_topic_.c_str(), partition_);
  entry->offset = position;
  if (!note_.empty()) {
    entry->metadata = ::strndup(note_.data(), note_.size());  // the list frees it
    entry->metadata_size = note_.size();
  }
  for (;;) {
    KafkaFailure failure(rd_kafka_send_offsets_to_transaction(client_.get(), offsets.get(), metadata.get(),
                                                              milliseconds_until(deadline)));
    if (!failure) return true;
    const bool retry = rd_kafka_error_is_retriable(failure.get()) && Steady::now() + step_retry_after < deadline;
    if (!retry) {
      failed("send offsets", failure.get());
      return false;
    }
    std::this_thread::sleep_for(step_retry_after);
  }
}

// What was asked once may have been done, whatever the answers after it say.
StepOutcome KafkaStepCommitter::end(Steady::time_point deadline) {
  for (;;) {
    KafkaFailure failure(rd_kafka_commit_transaction(client_.get(), milliseconds_until(deadline)));
    if (!failure) return StepOutcome::committed;
    // A record was not delivered: the end was not asked for.
    if (rd_kafka_error_txn_requires_abort(failure.get())) {
      failed("commit", failure.get());
      return abort();
    }
    if (rd_kafka_error_is_retriable(failure.get()) && Steady::now() + step_retry_after < deadline) {
      std::this_thread::sleep_for(step_retry_after);
      continue;
    }
    failed("commit", failure.get());
    usable_ = false;
    return StepOutcome::unknown;
  }
}

// Where it doesn't succeed the next owner's init_transactions, or the broker's time-out, aborts it.
StepOutcome KafkaStepCommitter::abort() {
  const auto deadline = Steady::now() + timeout_;
  while (usable_ && !fenced_) {
    KafkaFailure failure(rd_kafka_abort_transaction(client_.get(), milliseconds_until(deadline)));
    if (!failure) return StepOutcome::aborted;
    if (rd_kafka_error_is_retriable(failure.get()) && Steady::now() + step_retry_after < deadline) {
      std::this_thread::sleep_for(step_retry_after);
      continue;
    }
    failed("abort", failure.get());
    break;
  }
  usable_ = false;
  return StepOutcome::aborted;
}

StepOutcome KafkaStepCommitter::failed(const char* act, const rd_kafka_error_t* error) {
  auto code = rd_kafka_error_code(error);
  if (rd_kafka_error_is_fatal(error)) {
    usable_ = false;
    if (const auto cause = rd_kafka_fatal_error(client_.get(), nullptr, 0); cause != RD_KAFKA_RESP_ERR_NO_ERROR)
      code = cause;
  }
  fenced_ = fenced_ || is_fenced(code);
  spdlog::warn("event=kafka_step_failed partition={} act=\"{}\" fenced={} error=\"{}\"", partition_, act, fenced_,
               rd_kafka_error_string(error));
  return StepOutcome::aborted;
}

}  // namespace assay
