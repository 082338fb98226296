#include "ops/cli/kafka_options.hpp"

namespace assay::cli {

void KafkaOptions::add_to(CLI::App& app) {
  app.add_option("--kafka", config.brokers, "The brokers, HOST:PORT,…")->required();
  app.add_option("--topic-prefix", config.topic_prefix, "What the names of topics, groups and transactions begin with")
      ->capture_default_str();
  app.add_option("--kafka-property", properties,
                 "NAME=VALUE for librdkafka: security.protocol, sasl.*, ssl.*; may be repeated");
  add_duration(app, "--kafka-wait", wait, "For the brokers to answer at the start");
}

std::optional<std::string> KafkaOptions::settle() {
  for (const auto& property : properties) {
    const auto equals = property.find('=');
    if (equals == property.npos || equals == 0)
      return "--kafka-property: \"" + property.substr(0, equals) + "\" is not NAME=VALUE";
    config.properties[property.substr(0, equals)] = property.substr(equals + 1);
  }
  return problem_with(config);
}

}  // namespace assay::cli
