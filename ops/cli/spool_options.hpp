#pragma once
// --spool, and the event log of a front door on Kafka that it makes: Kafka's alone, or with a spool before it.
#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "ops/cli/home_thread.hpp"
#include "ops/cli/kafka_options.hpp"
#include "ops/cli/problem.hpp"
#include "storage/log/acknowledged_log.hpp"
#include "storage/log/spooled_log.hpp"

namespace assay::cli {

struct SpoolOptions {
  std::string text = "1GB";
  std::uint64_t disk_reserve_bytes = SpoolConfig().disk_reserve_bytes;
  std::optional<SpoolConfig> config = {};  // none: off

  void add_to(CLI::App& app);
  // After parsing: what is wrong, in a sentence.
  std::optional<std::string> settle(const KafkaOptions& kafka);
};

// All given outlives it. Remembers how many partitions the topics have, for a start while Kafka is away.
class DoorLog {
 public:
  // With a spool an unreachable Kafka is no error; topics that are missing or don't agree are, where it answers.
  // `for_view`: notes what Kafka acknowledges, and holds on to the number of partitions that the view was made with.
  static Result<std::unique_ptr<DoorLog>, Problem> open(const SpoolOptions& options, const KafkaOptions& kafka,
                                                        bool for_view, Db& db, const std::string& directory,
                                                        const Clock& clock, Metrics& metrics);
  ~DoorLog();

  const AcknowledgedLog::Ends& acknowledged() const { return acknowledged_; }
  EventLog& log() { return spooled_ ? static_cast<EventLog&>(*spooled_) : kafka_log(); }
  // How far the spool has come, and whether Kafka has everything that was accepted before it had come so far.
  Offset spooled() const { return spool_ ? spool_->end() : 0; }
  bool drained(Offset before) const { return !spool_ || spool_->taken_off(before); }
  // Kafka was reached, and its topics are those that this directory belongs to. Any thread.
  bool opened() const { return opened_; }
  // Kafka answers.
  bool reachable() const { return spooled_ ? spooled_->reachable() : kafka_->writable().has_value(); }
  // What is appended now goes straight to Kafka.
  bool direct() const { return spooled_ ? spooled_->direct() : kafka_->writable().has_value(); }
  // Everything appended to Kafka is answered, at the latest after `limit`.
  void close(std::chrono::milliseconds limit);

 private:
  DoorLog(const KafkaOptions& kafka, bool for_view, Db& db, const std::string& directory, Metrics& metrics)
      : options_(kafka), for_view_(for_view), db_(db), directory_(directory), metrics_(metrics) {}
  EventLog& kafka_log() { return noted_ ? static_cast<EventLog&>(*noted_) : *kafka_; }
  Result<EventLog*, Problem> open_kafka(std::chrono::milliseconds limit);
  std::optional<Problem> refusal_of(KafkaLog& log);
  std::optional<Problem> problem_with(const KafkaLog& log, const std::string& cluster) const;
  Result<void, std::string> load_partitions();
  Result<void, std::string> keep_partitions(const EventLog& log, const std::string& cluster);

  const KafkaOptions& options_;
  const bool for_view_;
  Db& db_;
  const std::string directory_;
  Metrics& metrics_;
  std::array<Partition, std::size(all_streams) + 1> partitions_{};  // as an earlier life was told
  std::atomic<bool> opened_{false};
  HomeThread home_;
  AcknowledgedLog::Ends acknowledged_;
  std::unique_ptr<KafkaLog> kafka_;  // written by the drain's thread, read when that has ended; so the next
  std::unique_ptr<AcknowledgedLog> noted_;
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<SpooledLog> spooled_;
};

}  // namespace assay::cli
