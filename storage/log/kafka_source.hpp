#pragma once
// Reading Kafka: explicit partitions, read-committed, no group; positions are the reader's own affair.
//
// Each partition has a queue of its own in librdkafka, so that one can be read alone and none crowds out another; an
// eventfd tells when one of them, or wake(), has something.
#include <map>
#include <mutex>

#include "storage/log/event_source.hpp"
#include "storage/log/kafka_metadata.hpp"

namespace assay {

// One client of librdkafka, with its threads.
//
// Control records (a transaction's end) take offsets, and are no records: position() and end() move past them when
// the partition's end has been reached, so that position() == end() means that everything was read. end() leaves out
// what stands behind an open transaction once the end has been reached; before it may count it.
//
// A position that has been trimmed away continues at the first record. One behind the log's end (the topic was made
// anew, or lost what it had acknowledged) is Error::corrupt.
class KafkaSource final : public EventSource {
 public:
  // Blocks up to `limit`.
  static Result<std::unique_ptr<KafkaSource>> open(const KafkaConfig& config, std::vector<StartAt> starts,
                                                   std::chrono::milliseconds limit);
  ~KafkaSource() override;

  Result<std::span<const LogRecord>> read(std::size_t records_max, std::chrono::milliseconds wait) override;
  Result<std::span<const LogRecord>> read_from(StreamPartition which, std::size_t records_max) override;
  void await(StreamPartition which, std::chrono::milliseconds limit) override;
  Result<Offset> end(StreamPartition which) override;
  Offset position(StreamPartition which) const override;
  std::optional<Trimmed> take_trimmed(StreamPartition which) override;
  bool is_doubtful(StreamPartition which) const override;
  Result<void> seek(StreamPartition which, Offset offset) override;
  void wake() override;

 private:
  struct PartitionFetch {
    StreamPartition where;
    rd_kafka_topic_t* topic;
    KafkaQueue queue;                                    // null: not fetching, and its position is to be found
    Offset next = 0;                                     // to be read
    Offset end = 0;                                      // as last seen
    bool at_end = false;                                 // librdkafka said so, at `next`
    bool doubtful = false;                               // see is_doubtful()
    std::optional<Trimmed> trimmed{};                    // see take_trimmed()
    std::chrono::steady_clock::time_point find_again{};  // not before: to look for a position may take seconds
  };

  explicit KafkaSource(int event_fd) : event_fd_(event_fd) {}
  PartitionFetch* find(StreamPartition which);
  const PartitionFetch* find(StreamPartition which) const;
  Result<void> start(PartitionFetch& followed);
  void stop(PartitionFetch& followed);
  Result<void> find_position(PartitionFetch& followed, std::chrono::milliseconds limit);
  // Appends at most `room` records to the batch.
  Result<void> take(PartitionFetch& followed, std::size_t room);
  void take_record(PartitionFetch& followed, rd_kafka_message_t* message);
  static void on_client_error(rd_kafka_t*, int code, const char* reason, void* opaque);
  Result<void> on_error(PartitionFetch& followed, rd_kafka_resp_err_t failure);
  bool anything_queued() const;
  void clear();
  void stay_awake();
  void wait_for_event(std::chrono::milliseconds limit);

  const int event_fd_;
  KafkaHandle client_;
  std::map<Stream, KafkaTopic> topics_;
  std::vector<PartitionFetch> followed_;
  KafkaTopic quiet_topic_;  // see stay_awake()
  KafkaQueue quiet_queue_;
  mutable std::mutex mutex_;                // what end() reads of them while the reader works
  std::size_t turn_ = 0;                    // who is read first next time
  std::vector<rd_kafka_message_t*> taken_;  // librdkafka's, behind the views
  std::vector<rd_kafka_message_t*> scratch_;
  std::vector<LogRecord> batch_;
};

// Opens sources on one cluster. Thread-safe.
class KafkaSources final : public EventSources {
 public:
  // Blocks up to `limit`. Errors are sentences, as KafkaLog::open's.
  static Result<std::unique_ptr<KafkaSources>, std::string> open(KafkaConfig config, std::chrono::milliseconds limit);
  Result<std::unique_ptr<EventSource>> open(std::vector<StartAt> starts) override;
  Partition partitions(Stream stream) const override { return counts_[static_cast<std::size_t>(stream)]; }
  Result<Offset> first_since(StreamPartition where, Instant at) override;

  std::string cluster_id() const { return assay::cluster_id(client_.get()); }

  // Looks again at the topics. A sentence when they no longer have the partitions that they had at open(), which every
  // key's place depends on; nothing when they have. While no broker answers it is as it was. One thread.
  std::optional<std::string> changed();
  // See topic_retentions(). Blocks up to `limit`. Thread-safe.
  Result<std::map<Stream, std::chrono::milliseconds>, std::string> retentions(std::chrono::milliseconds limit) const;

 private:
  KafkaSources(KafkaConfig config, std::chrono::milliseconds limit) : config_(std::move(config)), limit_(limit) {}
  const KafkaConfig config_;
  const std::chrono::milliseconds limit_;
  KafkaHandle client_;
  PartitionCounts counts_{};
  std::optional<std::string> changed_;
};

}  // namespace assay
