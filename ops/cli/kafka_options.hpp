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
  std::vector<std::string> properties;  // no secrets: see kafka_options.cpp
  std::string properties_file;
  std::chrono::milliseconds wait{30'000};  // for the brokers, at the start

  // `required`: false for a tool that works on a data directory, too.
  void add_to(CLI::App& app, bool required = true);
  // After parsing: what is wrong, in a sentence.
  std::optional<std::string> settle();
  // The same for a tool, whose user is at the terminal: topics that are missing are not waited for.
  std::optional<std::string> settle_for_tool();

 private:
  std::optional<std::string> read_file();
};

}  // namespace assay::cli
