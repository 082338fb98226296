#pragma once
// One idempotent producer of librdkafka with its topic handles. KafkaLog holds one, and replaces it when it breaks.
#include <array>

#include "storage/log/kafka_config.hpp"

namespace assay {

class KafkaProducer {
 public:
  // Delivery reports, errors and statistics make `event_fd` (an eventfd) readable; fetch them with next_event().
  static Result<std::shared_ptr<KafkaProducer>, std::string> open(const KafkaConfig& config, int event_fd);
  ~KafkaProducer();
  KafkaProducer(const KafkaProducer&) = delete;
  KafkaProducer& operator=(const KafkaProducer&) = delete;

  // Borrows the record's bytes until the delivery report, which carries `opaque`. Never blocks. Thread-safe.
  // An error: the record was not taken and there will be no report.
  rd_kafka_resp_err_t produce(const Record& record, void* opaque);

  // Null when there is none. The eventfd tells only of the first event after none: read it first, then fetch them all.
  KafkaEvent next_event() { return KafkaEvent(rd_kafka_queue_poll(events_.get(), 0)); }

  // Gives up what is queued or in flight: their reports come as errors.
  void purge() { rd_kafka_purge(client_.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT); }

  // Records without a report, and reports not yet fetched.
  int outstanding() const { return rd_kafka_outq_len(client_.get()); }

  rd_kafka_t* client() const { return client_.get(); }

 private:
  KafkaProducer() = default;
  KafkaHandle client_;
  KafkaQueue events_;
  std::array<KafkaTopic, std::size(all_streams) + 1> topics_;  // by the stream's number
};

// Hands `record` over with its partition, time and headers. With RD_KAFKA_MSG_F_COPY nothing is borrowed.
rd_kafka_resp_err_t produce_record(rd_kafka_t* client, rd_kafka_topic_t* topic, const Record& record, int flags,
                                   void* opaque);

}  // namespace assay
