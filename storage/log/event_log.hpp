#pragma once
// The seam between the front door and what keeps its records: memory (tests), embedded (RocksDB), Kafka.
#include <string_view>
#include <vector>

#include "ops/runtime/error.hpp"
#include "ops/runtime/result.hpp"
#include "ops/runtime/task.hpp"
#include "storage/records/record.hpp"
#include "storage/state/key_value.hpp"

namespace assay {

struct Appended {
  enum class Outcome : std::uint8_t {
    appended,   // it stands in the log, durably
    duplicate,  // the same record_id with the same body stood there already, durably; nothing was added
    conflict,   // the same record_id with another body stands there; nothing was added
  };
  Outcome outcome = Outcome::appended;
  Partition partition = 0;
  Offset offset = -1;  // of the record appended; -1 where it is not known
  // Where it stands, where that is not the log's own durability(): on the disk of a spool that Kafka gets it from.
  std::string_view durability = {};
};

class EventLog {
 public:
  virtual ~EventLog() = default;

  // Returns once the record is durable: on disk (embedded), on all in-sync replicas (Kafka). On an error it may still
  // have been written, and is read in the end: the client's retry with the same ids settles it. Only a log that can
  // look answers `duplicate` or `conflict`, and only for records with identities; Kafka leaves both to the workers.
  // The changelog of the parked is the workers' (a step's outputs): the embedded log has none and answers
  // `unsupported`. Errors: log_full (nothing was written), over_capacity (the same), log_unavailable, timed_out,
  // stopped, log_changed (nothing was written). Call from any thread; completes on the caller's executor. Bounded in
  // bytes: over the bound it fails at once.
  virtual Task<Result<Appended>> append(Record record) = 0;

  // The same for several, results in order. Embedded and memory: all of them or none. Kafka: each for itself, but none
  // where one is longer than a record may be (errc::message_size).
  virtual Task<std::vector<Result<Appended>>> append_all(std::vector<Record> records) = 0;

  // Where the log is kept in one database with the process's own state (keeps_state()), `state` is in the same write as
  // the records: all of both or none. Other logs must be given none.
  virtual bool keeps_state() const { return false; }
  virtual Task<std::vector<Result<Appended>>> append_with(std::vector<Record> records, Changes state) {
    if (state.empty()) return append_all(std::move(records));
    return refuse(records.size());
  }

  // "disk", "kafka" or "memory": the value of the header Assay-Durability.
  virtual std::string_view durability() const = 0;

  // Whether an append would be tried now, for /readyz: false while the disk has no room or the brokers are away.
  virtual Result<void> writable() const = 0;

  // Little room is left, and that is feedback's (feedback_share.hpp): what begins a trace is refused as log_full. Any
  // thread.
  virtual bool feedback_alone() const { return false; }

  // Whether what threads of its own do goes on, for /livez: false where a step of one hangs, or a sync has failed,
  // which only a restart ends. Brokers that are away, and a full disk, hang nothing. Thread-safe.
  virtual bool live() const { return true; }

  virtual Partition partitions(Stream stream) const = 0;

 private:
  static Task<std::vector<Result<Appended>>> refuse(std::size_t count) {
    co_return std::vector<Result<Appended>>(count, Result<Appended>(Error::unsupported));
  }
};

// The value of Assay-Durability for what was appended.
inline std::string_view durability_of(const EventLog& log, const Result<Appended>& appended) {
  return appended && !appended->durability.empty() ? appended->durability : log.durability();
}
// Of several: one of them that stands elsewhere decides.
inline std::string_view durability_of(const EventLog& log, const std::vector<Result<Appended>>& appended) {
  for (const auto& one : appended)
    if (one && !one->durability.empty()) return one->durability;
  return log.durability();
}

}  // namespace assay
