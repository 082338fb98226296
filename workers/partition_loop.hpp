#pragma once
// The resolver of one partition: read a batch, fetch what its decisions need, decide (resolver.hpp), commit one step.
//
// Order inside a step: requests, releases, feedback, expiry. Between two steps no parked record waits for an id that
// the index knows, but for those in pending_: until these are released nothing is read, so that what comes later finds
// them gone. A partition is opened by joining all the parked with the index, which finds what a predecessor left.
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

#include "storage/log/event_source.hpp"
#include "storage/log/progress.hpp"
#include "storage/log/step.hpp"
#include "workers/resolver.hpp"
#include "workers/resolver_metrics.hpp"
#include "workers/restore.hpp"
#include "workers/step_size.hpp"

namespace assay {

struct OpenedPartition {
  std::unique_ptr<StepCommitter> committer;
  // Where the log keeps the feedback position and the state is a cache (Kafka): the position, read after every
  // predecessor was fenced. None: the state is part of the log, and its own position counts (embedded).
  std::optional<Offset> committed;
};

// Fences whoever had the partition before. Called again after each failed step. Error::log_unavailable: it is not ours,
// or not now; asked again after a pause.
using OpenPartition = std::function<Result<OpenedPartition>()>;

struct PartitionLoopConfig {
  Partition partition = 0;
  ResolvePolicy policy;
  std::size_t records_max = 4096;     // of one read, and of what a step gathers
  std::size_t gather_max = 8u << 20;  // bytes, over which a step gathers no more
  // ResolverThread: after a step that left nothing to be read, so that what comes meanwhile makes one step, not many.
  std::chrono::microseconds rest{0};
  // ResolverThread, for /livez: a step does not take so long on a slow disk, and an opening, which reads all that is
  // parked, not so long on any.
  std::chrono::milliseconds stuck_after = std::chrono::minutes(1), opening_stuck_after = std::chrono::minutes(30);
  std::size_t joined_max = 1000;  // ids of the parked looked up at a time when the partition is opened
  // How long a step gathers from its first record on, unless it has records_max before. 0: what is there at once.
  std::chrono::milliseconds commit_interval{0};
};

// One thread at a time, but for wake(), stop() and caught_up(). Blocks.
class PartitionLoop {
 public:
  // All that is given by reference outlives the loop. `progress` may be null; it is told as Follower::resolver.
  PartitionLoop(PartitionLoopConfig config, EventSources& sources, KeyValue& state, OpenPartition open,
                const Clock& clock, Metrics& metrics, Progress* progress);

  // Fences, restores, seeks. run_once() does it where it is needed.
  Result<void> open();
  // Drops what is in hand and the committer. What was read stays read for the next open() or follow().
  void close();
  // As a copy of a partition that someone else owns (Kafka): brings the state up to the committed position. Not while
  // it is open.
  Result<void> follow(Offset committed);

  // joined: looked up what waits, on the way to where it can read; nothing was committed.
  enum class Ran { worked, joined, idle };
  // At most one step. Waits up to `wait` for records when there is nothing to do. After an error (a step that was
  // aborted or whose outcome is unknown: Error::log_unavailable) the next call opens the partition again.
  Result<Ran> run_once(std::chrono::milliseconds wait);

  // Ends a run_once() that waits, or the next one's wait. Thread-safe.
  void wake();
  // Ends a restore that is under way, with Error::stopped, and each later one. Thread-safe.
  void stop();

  bool is_open() const { return committer_ != nullptr; }
  // Has decided what both streams held when it was opened: for /readyz. Not "is at their ends": where they are written
  // to all the time one that keeps up is never there. Thread-safe.
  bool caught_up() const { return caught_up_; }
  // Whether the last step had as much to read as it may: there is probably more.
  bool behind() const { return behind_; }
  const Meta& meta() const { return meta_; }
  std::int64_t parked() const { return parked_; }
  // As of the last restore or follow().
  Instant restored_accepted_max() const { return restore_.accepted_max(); }

 private:
  StreamPartition requests() const { return {Stream::requests, config_.partition}; }
  StreamPartition feedback() const { return {Stream::feedback, config_.partition}; }
  Result<void> open_source(std::optional<Offset> committed);
  void note_trimmed(Trimmed lost);
  bool decided_backlog() const;
  void count_lag();
  Result<Ran> step(std::chrono::milliseconds wait);
  Result<void> join();
  Result<void> begin_anew(StepCommitter& committer, Offset committed);
  Result<void> gather(std::chrono::milliseconds wait);
  Result<void> gather_some(std::chrono::milliseconds wait);
  Result<void> gather_more();
  Instant told_since() const { return assay::told_since(config_.policy, clock_.now()); }
  void note_misplaced(const LogRecord& request);
  void take(std::span<const LogRecord> records);
  Result<void> learn_traces(Resolution& resolution, std::vector<std::string> ids) const;
  Result<void> learn_parked(Resolution& resolution, Needs needs) const;
  Result<void> learn_remains(Resolution& resolution, std::span<const std::string> assessments) const;
  Result<void> tell(Resolution& resolution);
  Result<void> release(Resolution& resolution);
  Result<void> decide(Resolution& resolution);
  Result<void> expire(Resolution& resolution);
  Result<void> forget(Resolution& resolution, std::size_t more) const;
  Result<void> commit(Resolution& resolution, std::chrono::steady_clock::time_point began);

  const PartitionLoopConfig config_;
  EventSources& sources_;
  KeyValue& state_;
  const OpenPartition open_;
  const Clock& clock_;
  ResolverMetrics metrics_;
  Progress* const progress_;

  std::unique_ptr<StepCommitter> committer_;  // null: not open
  Restore restore_;                           // has the source where the state is a cache
  std::mutex source_mutex_;                   // of own_source_'s life, for wake()
  std::unique_ptr<EventSource> own_source_;   // where the state is part of the log
  EventSource* source_ = nullptr;             // that of the two which is read; null: not open yet
  // A stream is read in its order: whoever has come to where it ended at some instant has read all that was there then,
  // however much has come since.
  struct Ends {
    Offset requests = 0, feedback = 0;
  };
  struct Due {
    Instant at;
    Offset requests_end;
  };
  Ends backlog_;  // as of open()
  StepSize size_;
  Meta meta_;
  std::int64_t parked_ = 0;   // entries of the state
  Offset trimmed_to_ = 0;     // what was lost before it has been counted
  bool has_remains_ = false;  // there may be something to look up
  std::optional<Instant> next_expiry_;
  std::optional<Due> due_;  // something was seen to be due, and expires once its trace can't be in the backlog
  bool joined_ = false;
  std::string joined_upto_;
  std::deque<std::string> pending_;  // ids that were told, with parked records that may still wait for them
  std::size_t gathered_bytes_ = 0;
  std::vector<IncomingRequest> requests_;
  std::vector<UnreadableRequest> unreadable_requests_;
  std::deque<IncomingFeedback> undecided_;
  bool expired_some_ = false;
  bool behind_ = false;
  std::atomic<bool> caught_up_{false};
};

}  // namespace assay
