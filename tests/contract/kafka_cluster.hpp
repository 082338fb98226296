#pragma once
// The broker that ASSAY_TEST_KAFKA (HOST:PORT) names, and a set of topics of one's own on it.
#include <cstdlib>
#include <memory>
#include <optional>
#include <stdexcept>

#include "ops/runtime/ids.hpp"
#include "storage/log/kafka_config.hpp"
#include "storage/log/kafka_offsets.hpp"
#include "storage/log/kafka_topics.hpp"

namespace assay {

inline std::optional<std::string> kafka_for_tests() {
  const char* brokers = std::getenv("ASSAY_TEST_KAFKA");
  if (!brokers || !*brokers) return std::nullopt;
  return std::string(brokers);
}

// Topics of a prefix that nobody else uses, four partitions.
inline KafkaConfig fresh_topics(const std::string& brokers) {
  KafkaConfig config{.brokers = brokers, .topic_prefix = random_id("test-") + "."};
  auto made = create_topics(config, {.partitions = 4}, std::chrono::seconds(20));
  if (!made) throw std::runtime_error(made.error());
  // A worker has joined its group before its first step. librdkafka 2.0.2 waits for ever in a transaction's offsets
  // where the group has no coordinator yet, and Kafka makes the coordinators' topic when it is first asked for one.
  const StreamPartition any{Stream::feedback, 0};
  const auto offsets = KafkaOffsets::open(config, "resolve");
  if (!offsets || !(*offsets)->committed({&any, 1}, std::chrono::seconds(20)))
    throw std::runtime_error("the group has no coordinator");
  return config;
}

}  // namespace assay

// In SetUp().
#define SKIP_WITHOUT_KAFKA() \
  if (!assay::kafka_for_tests()) GTEST_SKIP() << "ASSAY_TEST_KAFKA (HOST:PORT of a broker) is not set"
