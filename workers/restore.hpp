#pragma once
// The state of a partition from the log, where the state is a cache of it (Kafka). Emits nothing.
//
// The state may be as of any earlier step, or empty. What the log has committed since is applied: the parked from their
// changelog, the index from the requests stream, the seen ids from the feedback stream up to the committed position.
// The order of the three does not matter, because nothing is decided. A state beyond the committed position (it belongs
// to another log, or to a step that never was) is wiped, and built from the start.
//
// A committed position is believed where the log reaches as far and, beside a state, still has what the state knows to
// stand before its position. Else the log was made anew, or has lost its tail, and the state alone knows how much of it
// was decided: it stays until the owner has moved the position back to there, and is built anew from that.
//
// An empty state reads of the feedback only what the dedupe window still reaches, and of the requests what
// request_retention leaves, and is loaded as sorted files. What is left out is what every lookup would ignore.
//
// The changelog is read again from where the last restore ended, so what the worker itself wrote since comes twice:
// harmless, because the last record of a key decides.
//
// Of the ledger the log does not hold enough to rebuild it: an empty state begins a new one with what is parked; one
// that lags counts the repeats it can see, what the changelog has parked and ended, and takes the rest of what was
// logged for forwarded. So it says of a state that has lost what is parked how much there should be.
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>

#include "ops/runtime/clock.hpp"
#include "storage/log/event_source.hpp"
#include "storage/state/partition_state.hpp"
#include "workers/resolver.hpp"

namespace assay {

// Of one partition. Keeps its sources open, so that a copy that follows (a standby) reads on where it was. One thread
// at a time, but for stop().
class Restore {
 public:
  // All outlive it.
  Restore(EventSources& sources, KeyValue& state, Partition partition, const ResolvePolicy& policy, const Clock& clock,
          std::chrono::milliseconds patience = std::chrono::seconds(30));
  ~Restore();

  // `committed`: the feedback position that the log has committed; of an owner, read after every predecessor was
  // fenced. Afterwards the state's meta holds it. Error::timed_out when a stream that is not at its end brings nothing
  // for `patience`, Error::stopped after stop(). Error::log_changed where the feedback is another log's than that of
  // the position, or of the state: that stays as it is.
  Result<void> run(Offset committed);
  // After that: how far the state has decided of the feedback that is there, which the position is moved back to.
  Result<Offset> decided(Offset committed);

  // Of the requests and the feedback, after run(): stands at the state's positions. The next run() finds it where it
  // was left.
  EventSource& source() { return *source_; }
  // Closes the changelog's source, which an owner does not read.
  void done_with_changelog() { changelog_.reset(); }
  // Ends a run() soon, and each later one at once. Thread-safe.
  void stop() { stopped_ = true; }
  // Ends a read of source() that waits. Thread-safe.
  void wake();

  // The state's, as of the last run().
  Instant accepted_max() const { return accepted_max_; }

 private:
  class Run;
  bool is_doubtful() const;
  void drop_source_if(bool so);
  EventSources& sources_;
  KeyValue& state_;
  const Partition partition_;
  const ResolvePolicy policy_;
  const Clock& clock_;
  const std::chrono::milliseconds patience_;
  std::atomic<bool> stopped_{false};
  std::mutex mutex_;  // of source_'s life, for wake()
  std::unique_ptr<EventSource> source_, changelog_;
  Instant accepted_max_;
};

}  // namespace assay
