// The event log's contract, on a real broker.
#include "storage/log/kafka_log.hpp"
#include "storage/log/kafka_source.hpp"
#include "storage/log/kafka_step.hpp"
#include "storage/state/memory_key_value.hpp"
#include "tests/contract/event_log_contract.hpp"
#include "tests/contract/kafka_cluster.hpp"

namespace assay::contract {
namespace {

constexpr std::chrono::seconds limit{20};

class Kafka final : public LogUnderTest {
 public:
  explicit Kafka(const std::string& brokers) : config_(fresh_topics(brokers)) {
    auto log = KafkaLog::open(io_, config_, metrics_, limit);
    if (!log) throw std::runtime_error(log.error());
    log_ = std::move(*log);
    auto sources = KafkaSources::open(config_, limit);
    if (!sources) throw std::runtime_error(sources.error());
    sources_ = std::move(*sources);
  }
  IoContext& io() override { return io_; }
  EventLog& log() override { return *log_; }
  EventSources& sources() override { return *sources_; }
  std::unique_ptr<StepCommitter> committer(Partition partition) override {
    const auto metadata = [group = group_of(config_)] {
      return KafkaGroupMetadata(rd_kafka_consumer_group_metadata_new(group.c_str()));
    };
    auto committer = KafkaStepCommitter::open(config_, partition, state_, metadata, 0);
    if (!committer) throw std::runtime_error(committer.error().message());
    return std::move(*committer);
  }
  KeyValue& state(Partition) override { return state_; }
  bool knows_repeats() const override { return false; }

 private:
  IoContext io_{1};
  Metrics metrics_;
  MemoryKeyValue state_;
  KafkaConfig config_;
  std::unique_ptr<KafkaLog> log_;
  std::unique_ptr<KafkaSources> sources_;
};

std::unique_ptr<LogUnderTest> on_kafka() {
  const auto brokers = kafka_for_tests();
  return brokers ? std::make_unique<Kafka>(*brokers) : nullptr;
}

INSTANTIATE_TEST_SUITE_P(Real, EventLogContract, testing::Values(Factory{"kafka", on_kafka}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace assay::contract
