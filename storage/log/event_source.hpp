#pragma once
// Reading the log: the seam between the event log and who follows it (resolver, committers, tools).
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "ops/runtime/result.hpp"
#include "storage/records/record.hpp"

namespace assay {

struct StartAt {
  StreamPartition from;
  Offset offset;  // the first to be read; where it has been trimmed away, the log's first
};

// What of a partition was deleted before it was read: [from, to).
struct Trimmed {
  Offset from = 0, to = 0;
};

// Follows some partitions. One thread at a time, but for wake() and end().
class EventSource {
 public:
  virtual ~EventSource() = default;

  // The next records, at most `records_max`, those of one partition in offset order, only such as stay (Kafka: read
  // committed; embedded: see make_durable). Where `from` names some of the partitions only these are read. Waits up to
  // `wait` for the first; empty when there was none or wake() was called. Views are valid until the next call.
  virtual Result<std::span<const LogRecord>> read(std::size_t records_max, std::chrono::milliseconds wait) = 0;

  // What read() gave stays there whatever happens to this machine. Embedded: what a step has written can be read before
  // it is synced, since it can be redone from what was; that is not enough for who keeps what it read elsewhere.
  virtual Result<void> make_durable() { return {}; }

  // Like read(), without waiting, only of this one of the partitions followed.
  virtual Result<std::span<const LogRecord>> read_from(StreamPartition which, std::size_t records_max) = 0;

  // Where reading is asynchronous (Kafka): waits up to `limit`, or for wake(), until read_from() may give more of this
  // partition. Elsewhere what is there can be read at once, and this returns at once.
  virtual void await(StreamPartition, std::chrono::milliseconds) {}

  // One past the last record that can be read now. Cheap (no request to a broker: may be some milliseconds old there).
  virtual Result<Offset> end(StreamPartition which) = 0;

  // The next offset that read() will give of this partition.
  virtual Offset position(StreamPartition which) const = 0;

  // What was passed over because it had been trimmed away, since this was asked before, or since the seek that came
  // last.
  virtual std::optional<Trimmed> take_trimmed(StreamPartition) { return std::nullopt; }

  // Whether its position may be one of another log by now: for a moment it lay behind the log's end, or there was no
  // such log. Until the source is opened anew.
  virtual bool is_doubtful(StreamPartition) const { return false; }

  // Continues there.
  virtual Result<void> seek(StreamPartition which, Offset offset) = 0;

  // Thread-safe: ends a read() that waits, or the next one.
  virtual void wake() = 0;
};

// Opens sources on one log.
class EventSources {
 public:
  virtual ~EventSources() = default;
  virtual Result<std::unique_ptr<EventSource>> open(std::vector<StartAt> starts) = 0;
  virtual Partition partitions(Stream stream) const = 0;
  // An offset that no record taken at `at` or later stands before: the first record's where the log does not know.
  virtual Result<Offset> first_since(StreamPartition, Instant) { return Offset{0}; }
};

}  // namespace assay
