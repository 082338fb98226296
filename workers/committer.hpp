#pragma once
// Carries assay.assessments and assay.traces into one sink, on a thread of its own and from the sink's own positions,
// so that a slow sink holds nobody back. What it has read it applies before it reads on; while the sink fails it tries
// again, less and less often, and the log keeps the backlog.
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "ops/runtime/clock.hpp"
#include "storage/log/event_source.hpp"
#include "storage/log/progress.hpp"
#include "storage/log/stall_watch.hpp"
#include "storage/sinks/assessment_sink.hpp"
#include "workers/backoff.hpp"
#include "workers/committer_metrics.hpp"

namespace assay {

struct CommitterOptions {
  // Of one batch. A sink sums up for each trace of a batch what was said of it: the larger, the less often.
  std::size_t records_max = 4096;
  std::chrono::microseconds rest{0};         // after a batch that was not full, so that the next one is worth it
  std::chrono::milliseconds idle_wait{200};  // how often an idle sink gets its chance to retry what waits in it
  std::chrono::milliseconds backoff_first{100}, backoff_max{10'000};
  Progress* progress = nullptr;                           // told as Follower::store, where given
  const Clock* clock = nullptr;                           // none: the system's
  std::optional<std::vector<Partition>> partitions = {};  // of each stream; none: all of them
  // Of a log that this process alone writes to: its end now. A sink that keeps its positions elsewhere, and that is
  // away at first, is held against what the log had when this process began, not against what has come since.
  std::function<Result<Offset>(StreamPartition)> end_of_own_log = {};
  // In one step() nothing is applied for so long: see stuck(). Longer than the sink may take for one record.
  std::chrono::milliseconds stuck_after = std::chrono::minutes(1);
};
// Of a sink that is another server: a record may need several questions, and each may be put off five times, for a
// minute.
inline constexpr std::chrono::minutes remote_stuck_after{30};

class Committer {
 public:
  // All must outlive it. Metrics: assay_sink_records_total{sink,outcome}, assay_sink_lag_records{sink},
  // assay_sink_unaccounted{sink}, assay_sink_behind_seconds{sink}, assay_sink_trimmed_total{sink},
  // assay_sink_failures_total{sink}, assay_sink_batch_seconds{sink}.
  Committer(EventSources& sources, AssessmentSink& sink, Metrics& metrics, CommitterOptions options = {});
  ~Committer();  // stops

  // Starts the thread. The log may be away: it is opened when it comes.
  void start();
  // Ends the batch under way, soon; then the thread. Thread-safe, may be called twice.
  void stop();

  // One turn of the loop, for tests and the simulator (without start()): opens the source if need be, reads at most one
  // batch without waiting longer than `wait`, applies it. The number of records applied.
  Result<std::size_t> step(std::chrono::milliseconds wait);

  // Records that stand in the log and are not applied. Thread-safe; as of the last turn.
  std::int64_t lag() const { return lag_.load(std::memory_order_relaxed); }
  // Whether the log was there to be read, once. Thread-safe.
  bool opened() const { return opened_.load(std::memory_order_relaxed); }
  // For /livez: one step() hangs. A sink that fails does not, nor one that is slow and gets on. Thread-safe.
  bool stuck() const;

 private:
  void run(std::stop_token stop);
  Result<std::size_t> step_or_close(std::chrono::milliseconds wait);
  Result<void> open();
  bool is_ahead_of(EventSource& source, std::span<const StartAt> starts) const;
  Result<std::span<const LogRecord>> read(std::chrono::milliseconds wait);
  Result<void> note_progress();
  void note_trimmed();
  bool takes_all() const;
  Result<void> tell_what_is_read();
  void count();

  EventSources& sources_;
  AssessmentSink& sink_;
  std::map<StreamPartition, Offset> first_ends_;  // as end_of_own_log told them in the beginning
  CommitterOptions options_;
  const Clock& clock_;
  CommitterMetrics metrics_;
  std::vector<StreamPartition> partitions_;
  std::size_t turn_ = 0;                       // which partition is next, where they are read one by one
  std::span<const LogRecord> pending_;         // read and not yet applied; views into the source
  std::map<StreamPartition, Offset> read_to_;  // one past the last record read, in this life of the source
  Instant batch_at_;                           // when the oldest of the last batch was accepted; zero: not known
  SinkLedger counted_;
  std::atomic<std::int64_t> lag_{0};
  std::atomic<bool> opened_{false};
  bool over_ = false;  // the log became another one while the sink had records of it in hand

  StallWatch step_;
  mutable std::mutex mutex_;  // the source's life against wake(), and partitions_ against stuck()
  std::unique_ptr<EventSource> source_;
  std::jthread thread_;
};

}  // namespace assay
