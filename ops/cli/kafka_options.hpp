#pragma once
// The flags of everything that talks to Kafka.
#include <optional>
#include <string>
#include <vector>

#include "ops/cli/options.hpp"
#include "storage/log/kafka_config.hpp"

namespace assay::cli {

struct KafkaOptions {
  KafkaConfig config;
  std::vector<std::string> properties;
  std::chrono::milliseconds wait{30'000};  // for the brokers, at the start

  void add_to(CLI::App& app);
  // After parsing: what is wrong, in a sentence.
  std::optional<std::string> settle();
};

}  // namespace assay::cli
