#pragma once
// What the brokers say about our topics.
#include <array>
#include <chrono>

#include "storage/log/kafka_config.hpp"

namespace assay {

// By the stream's number.
using PartitionCounts = std::array<Partition, std::size(all_streams) + 1>;

// Blocks up to `limit`. Errors are sentences: no broker answers, a topic is missing, the topics that must agree in
// their number of partitions (feedback, requests, parked) don't.
Result<PartitionCounts, std::string> partition_counts(rd_kafka_t* client, const KafkaConfig& config,
                                                      std::chrono::milliseconds limit);

// What the brokers say now; 0 where a topic is missing.
Result<PartitionCounts, rd_kafka_resp_err_t> ask_partition_counts(rd_kafka_t* client, const KafkaConfig& config,
                                                                  std::chrono::milliseconds limit);

// In a sentence which topic has another number of partitions than before; one that is missing is not compared.
std::optional<std::string> partitions_changed(const KafkaConfig& config, const PartitionCounts& before,
                                              const PartitionCounts& now);

// The cluster's own id; empty where no broker says it within some seconds.
std::string cluster_id(rd_kafka_t* client);

// Whether some broker answers within `limit`. An error is a sentence: the configuration is wrong.
Result<bool, std::string> brokers_answer(const KafkaConfig& config, std::chrono::milliseconds limit);

}  // namespace assay
