#pragma once
// The dead letters of a deployment on Kafka: what assay.deadletters holds, folded by key.
#include <memory>

#include "ops/cli/dead_letter_acts.hpp"
#include "ops/cli/home_thread.hpp"
#include "ops/cli/kafka_options.hpp"
#include "storage/log/kafka_source.hpp"
#include "storage/state/memory_key_value.hpp"

namespace assay::cli {

class KafkaLetters {
 public:
  // Reads the whole topic. Errors are sentences.
  static Result<std::unique_ptr<KafkaLetters>, std::string> open(const KafkaOptions& kafka);
  ~KafkaLetters();

  // In Family::dead, as in the embedded store.
  const KeyValue& store() const { return store_; }
  // Connects to write at the first call.
  Result<const DeadLetterActs*, std::string> acts();

 private:
  explicit KafkaLetters(const KafkaOptions& kafka) : kafka_(kafka) {}

  const KafkaOptions& kafka_;
  MemoryKeyValue store_;
  Metrics metrics_;
  HomeThread home_;
  std::unique_ptr<KafkaLog> log_;
  IoContext io_{1};
  std::optional<DeadLetterActs> acts_;
};

}  // namespace assay::cli
