#pragma once
// The seam between the committer and what assessments are made visible in: the embedded store, an MLflow server.
#include <span>
#include <string_view>
#include <vector>

#include "ops/runtime/error.hpp"
#include "storage/log/event_source.hpp"
#include "storage/sinks/sink_ledger.hpp"

namespace assay {

// Follows streams of its own choice from positions of its own. A record may come again, after a crash or an error:
// applying it twice changes nothing. One thread, but for what says otherwise.
class AssessmentSink {
 public:
  virtual ~AssessmentSink() = default;

  virtual std::string_view name() const = 0;  // "store", "mlflow": a label of metrics, a step of dead letters
  virtual std::vector<Stream> follows() const = 0;

  // Where to begin with this partition.
  virtual Result<Offset> position(StreamPartition of) = 0;

  // Applies the records, in order for each partition, and what still waits from earlier calls; `records` may be empty.
  // A poison record becomes a dead letter, not an error. On an error some may have been applied: call again with the
  // same records. Blocks.
  virtual Result<void> apply(std::span<const LogRecord> records) = 0;

  // One past the last record of this partition whose effects can be read, as of the last apply().
  virtual Offset applied(StreamPartition of) const = 0;

  // The same, but for what waits for something else than its turn. Thread-safe.
  virtual Offset tried(StreamPartition of) const { return applied(of); }

  // Whether the effects of this one record can be read, or it became a dead letter. Thread-safe.
  virtual bool has(StreamPartition of, Offset offset) const { return offset < applied(of); }

  // Whether its position is kept where it outlives the log's disk: it is given only what is durable there.
  virtual bool keeps_position_elsewhere() const { return false; }

  // Before the first apply(), or for the next life: the log ends before its positions, so it is an older copy that was
  // put back, or was made anew, and what comes next at these offsets was never seen. From now on every position is the
  // beginning.
  virtual Result<void> start_over() { return make_error_code(Error::unsupported); }

  // Whether records of this stream may be given now. A sink that is full of assessments that wait for their traces
  // must still be given traces.
  virtual bool takes(Stream) const { return true; }

  // Told before an apply() while it is full: of this stream nothing stands in the log that is not read.
  virtual void all_read(Stream) {}

  // Thread-safe: ends an apply() that waits for a peer, soon, with Error::stopped. For good.
  virtual void stop() {}

  // Of everything that was read in this life of the process or, where the sink keeps it, ever. Thread-safe.
  virtual SinkLedger ledger() const = 0;

  // Of what the ledger has read, what is kept here and has not ended: it waits for its trace. Thread-safe.
  virtual std::int64_t unfinished() const { return 0; }
};

}  // namespace assay
