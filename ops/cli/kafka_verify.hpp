#pragma once
// `assay verify --kafka`: the topics against each other, and against the sinks that can be reached.
#include <chrono>
#include <string>

#include "ops/cli/kafka_options.hpp"
#include "storage/sinks/mlflow_client.hpp"

namespace assay::cli {

struct KafkaVerify {
  KafkaOptions kafka;
  std::string data;     // a view's data directory; empty: none
  MlflowConfig mlflow;  // its URL empty: none
  std::chrono::milliseconds dedupe_window = std::chrono::hours(1);
  std::string output = "text";
};

int verify_kafka(const KafkaVerify& asked);

}  // namespace assay::cli
