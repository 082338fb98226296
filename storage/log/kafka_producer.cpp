#include "storage/log/kafka_producer.hpp"

#include <algorithm>
#include <chrono>

namespace assay {

rd_kafka_resp_err_t produce_record(rd_kafka_t* client, rd_kafka_topic_t* topic, const Record& record, int flags,
                                   void* opaque) {
  KafkaHeaders headers;
  if (!record.headers.empty()) {
    headers.reset(rd_kafka_headers_new(record.headers.size()));
    for (const auto& header : record.headers)
      rd_kafka_header_add(headers.get(), header.name.data(), static_cast<ssize_t>(header.name.size()),
                          header.value.data(), static_cast<ssize_t>(header.value.size()));
  }
  // librdkafka takes a pointer to const for what it only reads.
  auto* key = const_cast<char*>(record.key.data());
  auto* value = record.value ? const_cast<char*>(record.value->data()) : nullptr;
  const std::size_t value_size = record.value ? record.value->size() : 0;
  const std::int32_t partition = record.partition.value_or(RD_KAFKA_PARTITION_UA);
  rd_kafka_resp_err_t code;
  if (headers)
    code = rd_kafka_producev(client, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_MSGFLAGS(flags),
                             RD_KAFKA_V_KEY(key, record.key.size()), RD_KAFKA_V_VALUE(value, value_size),
                             RD_KAFKA_V_OPAQUE(opaque), RD_KAFKA_V_HEADERS(headers.get()), RD_KAFKA_V_END);
  else
    code = rd_kafka_producev(client, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_MSGFLAGS(flags),
                             RD_KAFKA_V_KEY(key, record.key.size()), RD_KAFKA_V_VALUE(value, value_size),
                             RD_KAFKA_V_OPAQUE(opaque), RD_KAFKA_V_END);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) headers.release();  // the message's
  return code;
}

Result<std::shared_ptr<KafkaProducer>, std::string> KafkaProducer::open(const KafkaConfig& config, int event_fd) {
  auto conf = producer_conf(config);
  if (!conf) return conf.error();
  rd_kafka_conf_set_events(conf->get(), RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_STATS);
  auto client = make_client(RD_KAFKA_PRODUCER, std::move(*conf));
  if (!client) return client.error();
  std::shared_ptr<KafkaProducer> producer(new KafkaProducer);
  producer->client_ = std::move(*client);
  for (const auto stream : all_streams)
    producer->topics_[static_cast<std::size_t>(stream)].reset(
        rd_kafka_topic_new(producer->client(), topic_of(config, stream).c_str(), nullptr));
  producer->events_.reset(rd_kafka_queue_get_main(producer->client()));
  static const std::uint64_t one = 1;
  rd_kafka_queue_io_event_enable(producer->events_.get(), event_fd, &one, sizeof one);
  return producer;
}

KafkaProducer::~KafkaProducer() {
  if (events_) rd_kafka_queue_io_event_enable(events_.get(), -1, nullptr, 0);
  if (client_) purge();
  events_.reset();
  for (auto& topic : topics_) topic.reset();  // before their client
}

rd_kafka_resp_err_t KafkaProducer::produce(const Record& record, void* opaque) {
  return produce_record(client(), topics_[static_cast<std::size_t>(record.stream)].get(), record, 0, opaque);
}

}  // namespace assay
