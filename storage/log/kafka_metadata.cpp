#include "storage/log/kafka_metadata.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "ops/runtime/log.hpp"

namespace assay {
namespace {

// A topic that has just been made is not known to every broker at once.
constexpr std::chrono::milliseconds metadata_retry_after{50};
constexpr std::chrono::milliseconds told_wait{
    2'500};  // who waits for topics says so then: new ones are not everywhere at once

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

Result<PartitionCounts, rd_kafka_resp_err_t> ask_partition_counts(rd_kafka_t* client, const KafkaConfig& config,
                                                                  std::chrono::milliseconds limit) {
  std::vector<KafkaTopic> asked_for;  // metadata is given of the topics that the client has handles of
  for (const auto stream : all_streams)
    asked_for.emplace_back(rd_kafka_topic_new(client, topic_of(config, stream).c_str(), nullptr));
  const rd_kafka_metadata_t* got = nullptr;
  const auto code = rd_kafka_metadata(client, 0, nullptr, &got, std::max(1, static_cast<int>(limit.count())));
  KafkaMetadata metadata(got);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return code;
  return counts_of(*metadata, config);
}

Result<PartitionCounts, std::string> partition_counts(rd_kafka_t* client, const KafkaConfig& config,
                                                      std::chrono::milliseconds limit) {
  const auto start = std::chrono::steady_clock::now();
  auto deadline = start + limit;
  PartitionCounts counts{};
  bool answered = false, told = false;
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    const auto asked = ask_partition_counts(client, config, left);
    if (asked) {
      counts = *asked;
      if (describe_missing(config, counts).empty()) break;
      deadline = std::min(deadline, start + config.topics_wait);
      answered = true;
      if (std::chrono::steady_clock::now() - start >= told_wait && !std::exchange(told, true))
        spdlog::warn("event=topics_missing topics=\"{}\" kafka=\"{}\" act=\"waits for them until --kafka-wait\"",
                     describe_missing(config, counts), config.brokers);
    }
    if (std::chrono::steady_clock::now() + metadata_retry_after < deadline) {
      std::this_thread::sleep_for(metadata_retry_after);
      continue;
    }
    if (!answered) return no_broker_answered(config, limit, asked.error());
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

std::optional<std::string> partitions_changed(const KafkaConfig& config, const PartitionCounts& before,
                                              const PartitionCounts& now) {
  for (const auto stream : all_streams) {
    const auto i = static_cast<std::size_t>(stream);
    if (now[i] != 0 && now[i] != before[i])
      return fmt::format("{} has {} partitions now, and had {} when this process started: keys have moved",
                         topic_of(config, stream), now[i], before[i]);
  }
  return std::nullopt;
}

std::string cluster_id(rd_kafka_t* client) {
  char* const id = rd_kafka_clusterid(client, 10'000);
  const std::string text(id ? id : "");
  if (id) rd_kafka_mem_free(client, id);
  return text;
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
