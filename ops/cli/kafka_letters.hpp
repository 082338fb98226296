#pragma once
// The dead letters of a deployment on Kafka: what assay.deadletters holds, folded by key.
#include <memory>

#include "ops/cli/control.hpp"
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
  // Carries out a line of dead_letter_acts.hpp or forget_acts.hpp. Connects to write at the first call; not reached is
  // that it could not.
  OwnerAnswer answer(const std::string& line);

 private:
  explicit KafkaLetters(const KafkaOptions& kafka) : kafka_(kafka) {}

  const KafkaOptions& kafka_;
  MemoryKeyValue store_;
  Metrics metrics_;
  HomeThread home_;
  std::unique_ptr<KafkaLog> log_;
  IoContext io_{1};
};

}  // namespace assay::cli
