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

}  // namespace
}  // namespace assay::cli
