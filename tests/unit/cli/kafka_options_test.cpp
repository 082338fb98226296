#include "ops/cli/kafka_options.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/temporary_directory.hpp"

namespace assay::cli {
namespace {

TEST(KafkaProperties, ADirectoryIsNoEmptyFile) {
  TemporaryDirectory directory;
  KafkaOptions options;
  options.config.brokers = "127.0.0.1:1";
  options.properties_file = directory.path();
  EXPECT_EQ(options.settle(), "--kafka-properties: " + directory.path() + " can't be read");
  options.properties_file = directory.path() + "/properties";
  std::ofstream(options.properties_file) << "client.id = a\n";
  EXPECT_EQ(options.settle(), std::nullopt);
  EXPECT_EQ(options.config.properties["client.id"], "a");
}

TEST(KafkaBrokers, HavePortsThatThereAre) {
  const auto problem = [](std::string brokers) { return problem_with({.brokers = std::move(brokers)}); };
  for (const auto* brokers : {"a:1", "a", "a:9092,b:65535", "[::1]:9092", "[::1]", "::1", "PLAINTEXT://a:9092"})
    EXPECT_EQ(problem(brokers), std::nullopt) << brokers;
  for (const auto* broker : {"a:0", "a:65536", "a:99999999999", "a:", ":", "a:b", "[::1]:0", "a:-1"})
    EXPECT_EQ(problem(std::string("a:1,") + broker),
              "--kafka: \"" + std::string(broker) + "\" has no port from 1 to 65535 behind its colon");
}

TEST(KafkaProperties, ThoseThatNoPromiseRestsOnAreTheUsers) {
  const auto problem = [](const std::string& name) {
    return problem_with({.brokers = "a", .properties = {{name, "lz4"}}});
  };
  EXPECT_EQ(problem("compression.type"), std::nullopt);
  EXPECT_EQ(problem("compression.codec"), std::nullopt);
  EXPECT_NE(problem("acks"), std::nullopt);
}

}  // namespace
}  // namespace assay::cli
