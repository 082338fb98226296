#pragma once
// One partition's state on this machine and the thread that keeps it, in one of three roles, which the assignment
// changes: the owner's (resolve and commit), a copy's that follows, ready to take over, or none for the moment. The
// database, the sources and what was read stay through all of them; so a partition that a rebalance takes away and
// gives back goes on where it was.
//
// An owner that comes back after `paused` keeps its committer, too: had anybody else opened the partition meanwhile,
// that committer would be fenced, its next step aborted, and the partition opened anew.
#include <condition_variable>
#include <mutex>
#include <thread>

#include "storage/db/db.hpp"
#include "storage/log/stall_watch.hpp"
#include "workers/backoff.hpp"
#include "workers/partition_loop.hpp"

namespace assay {

struct ReplicaConfig {
  PartitionLoopConfig loop;
  std::string directory;  // of its database
  DbMemory memory;
  std::chrono::milliseconds follow_every{500};
  // A state that was not up to date for so long is built anew: compaction may have taken tombstones of the changelog
  // that it has not seen, and what they ended would wait once more, and be released once more. Less than the parked
  // topic's delete.retention.ms, which no broker has below a day unless it was told to.
  std::chrono::milliseconds stale_after = std::chrono::hours(23);
  std::chrono::milliseconds step_max =
      std::chrono::minutes(1);  // of a step, which waits for Kafka for no more than 20 s
};

class PartitionReplica {
 public:
  enum class Role : std::uint8_t { paused, owner, standby };
  using Open = std::function<Result<OpenedPartition>(KeyValue& state)>;  // see OpenPartition
  using Committed = std::function<Result<Offset>()>;                     // the group's position, for a standby

  // All that is referred to outlives it.
  struct Parts {
    EventSources& sources;
    const Clock& clock;
    Metrics& metrics;
    Counter& rebuilt;  // databases that had to be thrown away
    Open open;
    Committed committed;
  };

  // Begins, when `predecessor`, which may still have the database, has ended.
  PartitionReplica(ReplicaConfig config, Parts parts, Role role, std::shared_ptr<PartitionReplica> predecessor = {});
  // Ends after the step in hand, and waits for that.
  ~PartitionReplica();

  // Does not wait. Thread-safe, as all that follows.
  void become(Role role);
  // Until no step is in hand that was begun in a role that has been left since.
  void wait_settled();
  // Asks it to end, does not wait.
  void end();
  bool ended() const { return ended_; }
  void wait_ended();

  Role role() const;
  // As an owner: has decided what was there when it opened the partition (PartitionLoop::caught_up). As a copy: has
  // been at the committed position.
  bool caught_up() const { return caught_up_; }
  // Its last turn failed: it tries again after a pause.
  bool failing() const { return failing_; }
  std::uint64_t bytes_on_disk() const;
  // For /livez: one step takes longer than step_max. Whatever else it does, a restore, waiting for the brokers or for
  // its turn, may take as long as it takes.
  bool stuck() const { return step_.stalled(); }

 private:
  void run(std::stop_token stop);
  // nearer: to what it is there for; that says nothing of how that will go.
  enum class Turn { done, nearer };
  Result<Turn> turn_or_close(Role role);
  Result<Turn> turn(Role role);
  Result<Turn> own();
  Result<void> follow();
  Result<void> open_database();
  void close_database();
  void throw_state_away();
  bool is_stale() const;
  Result<void> note_caught_up();
  Result<void> note_fresh(Db& db, Instant now);
  bool count_corrupt();
  void set_seen_cutoff();
  bool rest(std::stop_token stop, std::chrono::milliseconds limit, Role unless_left);

  const ReplicaConfig config_;
  const Parts parts_;

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  Role role_;
  bool stepping_ = false;  // as an owner, with the partition open
  bool ending_ = false;
  std::unique_ptr<Db> db_;
  std::unique_ptr<PartitionLoop> loop_;  // the pointers under the mutex, for those who are not the thread
  std::atomic<bool> caught_up_{false};
  std::atomic<bool> failing_{false};
  std::atomic<bool> ended_{false};
  std::atomic<Instant> seen_since_{Instant::min()}, told_since_{Instant::min()};  // what is older compaction may drop
  StallWatch step_;
  std::chrono::steady_clock::time_point flushed_;
  Instant fresh_at_;  // when it was last up to date with the log, and that was noted; zero: not known
  int unheard_ = 0;   // of the committed position, in a row; the thread's own
  int corrupt_ = 0;   // turns that met it, none of them long before the next
  std::chrono::steady_clock::time_point corrupt_at_{};
  std::shared_ptr<PartitionReplica> predecessor_;
  std::jthread thread_;  // last: ends before anything else goes
};

}  // namespace assay
