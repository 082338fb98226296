#pragma once
// librdkafka's C handles as owners: one alias each.
#include <librdkafka/rdkafka.h>

#include <memory>

namespace assay {

template <auto Destroy>
struct Destroyer {
  template <class T>
  void operator()(T* handle) const noexcept {
    Destroy(handle);
  }
};

using KafkaHandle = std::unique_ptr<rd_kafka_t, Destroyer<&rd_kafka_destroy>>;
using KafkaConf = std::unique_ptr<rd_kafka_conf_t, Destroyer<&rd_kafka_conf_destroy>>;
using KafkaTopic = std::unique_ptr<rd_kafka_topic_t, Destroyer<&rd_kafka_topic_destroy>>;
using KafkaQueue = std::unique_ptr<rd_kafka_queue_t, Destroyer<&rd_kafka_queue_destroy>>;
using KafkaEvent = std::unique_ptr<rd_kafka_event_t, Destroyer<&rd_kafka_event_destroy>>;
using KafkaMessage = std::unique_ptr<rd_kafka_message_t, Destroyer<&rd_kafka_message_destroy>>;
using KafkaHeaders = std::unique_ptr<rd_kafka_headers_t, Destroyer<&rd_kafka_headers_destroy>>;
using KafkaPartitions =
    std::unique_ptr<rd_kafka_topic_partition_list_t, Destroyer<&rd_kafka_topic_partition_list_destroy>>;
using KafkaMetadata = std::unique_ptr<const rd_kafka_metadata_t, Destroyer<&rd_kafka_metadata_destroy>>;
using KafkaGroupMetadata =
    std::unique_ptr<rd_kafka_consumer_group_metadata_t, Destroyer<&rd_kafka_consumer_group_metadata_destroy>>;
using KafkaFailure = std::unique_ptr<rd_kafka_error_t, Destroyer<&rd_kafka_error_destroy>>;

}  // namespace assay
