#include "storage/log/kafka_metadata.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <thread>

namespace assay {
namespace {

// A topic that has just been made is not known to every broker at once.
constexpr std::chrono::milliseconds metadata_retry_after{50};

std::string describe_missing(const KafkaConfig& config, const PartitionCounts& counts) {
  std::string missing;
  for (const auto stream : all_streams)
    if (counts[static_cast<std::size_t>(stream)] == 0)
      missing += (missing.empty() ? "" : ", ") + topic_of(config, stream);
  return missing;
}

PartitionCounts counts_of(const rd_kafka_metadata_t& metadata, const KafkaConfig& config) {
  PartitionCounts counts{};
  for (int i = 0; i < metadata.topic_cnt; ++i) {
    const auto& topic = metadata.topics[i];
    for (const auto stream : all_streams)
      if (topic_of(config, stream) == topic.topic && topic.err == RD_KAFKA_RESP_ERR_NO_ERROR)
        counts[static_cast<std::size_t>(stream)] = topic.partition_cnt;
  }
  return counts;
}

}  // namespace

Result<PartitionCounts, std::string> partition_counts(rd_kafka_t* client, const KafkaConfig& config,
                                                      std::chrono::milliseconds limit) {
  const auto start = std::chrono::steady_clock::now();
  auto deadline = start + limit;
  std::vector<KafkaTopic> asked_for;  // metadata is given of the topics that the client has handles of
  for (const auto stream : all_streams)
    asked_for.emplace_back(rd_kafka_topic_new(client, topic_of(config, stream).c_str(), nullptr));
  PartitionCounts counts{};
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    const rd_kafka_metadata_t* got = nullptr;
    const auto code = rd_kafka_metadata(client, 0, nullptr, &got, std::max(1, static_cast<int>(left.count())));
    KafkaMetadata metadata(got);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
      counts = counts_of(*metadata, config);
      if (describe_missing(config, counts).empty()) break;
      deadline = std::min(deadline, start + config.topics_wait);
    }
    if (std::chrono::steady_clock::now() + metadata_retry_after < deadline) {
      std::this_thread::sleep_for(metadata_retry_after);
      continue;
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return no_broker_answered(config, limit, code);
    return fmt::format("Kafka at {} lacks the topics {}: run `assay topics create`", config.brokers,
                       describe_missing(config, counts));
  }
  const auto count = [&](Stream stream) { return counts[static_cast<std::size_t>(stream)]; };
  if (count(Stream::requests) != count(Stream::feedback) || count(Stream::parked) != count(Stream::feedback))
    return fmt::format("{} has {} partitions, {} {} and {} {}: they must be the same number",
                       topic_of(config, Stream::feedback), count(Stream::feedback), topic_of(config, Stream::requests),
                       count(Stream::requests), topic_of(config, Stream::parked), count(Stream::parked));
  return counts;
}

Result<bool, std::string> brokers_answer(const KafkaConfig& config, std::chrono::milliseconds limit) {
  auto conf = client_conf(config);
  if (!conf) return conf.error();
  auto client = make_client(RD_KAFKA_PRODUCER, std::move(*conf));
  if (!client) return client.error();
  const rd_kafka_metadata_t* got = nullptr;
  const auto code = rd_kafka_metadata(client->get(), 0, nullptr, &got, static_cast<int>(limit.count()));
  KafkaMetadata metadata(got);
  return code == RD_KAFKA_RESP_ERR_NO_ERROR;
}

}  // namespace assay
