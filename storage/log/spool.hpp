#pragma once
// A queue of records on the front door's own disk, for the time that Kafka can't be reached. Bounded in bytes; what it
// has taken is durable; records come out in the order in which they went in.
//
// It is the embedded log with one partition of one stream, whose records are whole records (spool_format.hpp). What has
// been taken out is erased with the position, in one write: the log's first offset is where the next start goes on.
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "ops/runtime/clock.hpp"
#include "storage/log/embedded_log.hpp"

namespace assay {

struct SpoolConfig {
  std::size_t bytes_max =
      std::size_t(1) << 30;                  // of all that is on it; the last eighth is for feedback (feedback_share)
  std::size_t record_bytes_max = 1'000'000;  // a longer one Kafka would refuse: librdkafka's message.max.bytes
  std::uint64_t disk_reserve_bytes = 256u << 20;  // free space below which it takes nothing
  std::size_t room_min = 1u << 20;                // less room than that is none, for /readyz
};

class Spool {
 public:
  // One for each Db, which outlives it. Counts what an earlier life has left.
  static Result<std::unique_ptr<Spool>, std::string> open(Db& db, const std::string& directory, SpoolConfig config,
                                                          const Clock& clock, Metrics& metrics);

  // Whether an earlier life has left records on the spool of this database, which nobody has opened.
  static Result<bool> left(const Db& db);

  // All of them or none. Errors: log_full (no room, or what is left is feedback's; nothing was written),
  // errc::message_size where one is longer than record_bytes_max, those of EmbeddedLog::append. Any thread.
  Task<std::vector<Result<Appended>>> append_all(std::vector<Record> records);

  // Nothing is on it, and nothing on its way to it: who asks while a record goes in is told that it is not empty.
  bool empty() const { return records_ == 0; }
  std::size_t records() const { return records_; }
  std::size_t bytes() const { return bytes_; }
  // Since the first one on it was accepted.
  std::chrono::duration<double> age() const;
  // One past the last record that was taken by now, and whether all before such a place has been taken off again.
  Offset end() const;
  bool taken_off(Offset before) const;
  // Of its bound, and no more than the disk has.
  std::size_t room() const;
  // For /readyz: Error::log_full when no room is left.
  Result<void> writable() const;
  // What is left is feedback's: see EventLog.
  bool feedback_alone() const { return log_->feedback_alone() || said_ != Said::room; }
  // For /livez: its disk does not hang.
  bool live() const { return log_->live(); }
  std::string_view durability() const { return log_->durability(); }

  // What takes the records out again: one thread.
  struct Queued {
    Offset offset;
    std::size_t bytes;
    std::optional<Record> record;
    std::string unreadable;  // the bytes, where they are no record
  };
  // The first ones that are still on it, at most `records_max`; waits up to `wait` for the first. Does not move on.
  // Fails while the last removal does.
  Result<std::vector<Queued>> first(std::size_t records_max, std::chrono::milliseconds wait);
  void wake() { source_->wake(); }
  // Takes these, the first ones, off: durably. `aside`: they are kept beside the queue, for a person to look at. Where
  // it fails (a full disk) they are not given again: first() tries to take them off before it gives more.
  Result<void> remove(std::span<const Queued> queued, bool aside = false);

 private:
  Spool(Db& db, const std::string& directory, SpoolConfig config, const Clock& clock, Metrics& metrics);
  Result<void> count();
  bool reserve(std::size_t bytes, std::size_t records, std::size_t bytes_max);
  void look_at_room(bool refused = false);
  void release(std::size_t bytes, std::size_t records);
  Result<void> finish_removal();
  void collect();

  struct Removal {
    Offset before;
    std::size_t bytes, records;
    bool aside;
    Changes kept;
  };

  Db& db_;
  const std::string directory_;
  const SpoolConfig config_;
  const Clock& clock_;
  std::unique_ptr<EmbeddedLog> log_;
  std::unique_ptr<EventSource> source_;
  std::optional<Removal> removal_;  // begun, not finished
  std::atomic<std::size_t> bytes_{0}, records_{0};
  enum class Said { room, nearly_full, full };
  std::atomic<Said> said_{Said::room};
  std::atomic<std::int64_t> oldest_ms_;  // when the first one was accepted, as last looked at

  Gauge &bytes_gauge_, &records_gauge_, &room_gauge_, &age_gauge_;
  Counter &spooled_total_, &drained_total_, &aside_total_;
};

}  // namespace assay
