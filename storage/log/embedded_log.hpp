#pragma once
// The event log inside one process: RocksDB, nothing beside it.
//
// All appends that wait are gathered by one writer thread into one write and one sync. A worker's step is one write of
// its outputs, its state and its position, without a sync: it can be redone from the log, and the WAL keeps the order,
// so what a crash leaves is always a prefix. Readers see a record once it is durable.
// Its bytes on disk: embedded_format.hpp.
#include <array>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "ops/runtime/metrics.hpp"
#include "storage/db/db.hpp"
#include "storage/log/event_log.hpp"
#include "storage/log/event_source.hpp"
#include "storage/log/stall_watch.hpp"
#include "storage/log/step.hpp"

namespace assay {

struct EmbeddedLogConfig {
  Partition partitions = 1;
  std::size_t queue_bytes_max = 64u << 20;  // of appends that wait for the writer; over it they are refused
  std::size_t batch_bytes_max = 4u << 20;   // of one write and sync
  // Free space below which nothing is accepted. An eighth more (feedback_share) and only what is feedback's is.
  std::uint64_t disk_reserve_bytes = 256u << 20;
  std::chrono::milliseconds dedupe_window = std::chrono::hours(24);
  bool read_only = false;  // for tools beside a running process: appends answer `unsupported`
  // One batch at a disk that hangs: appends are refused; the log is not live any more.
  std::chrono::milliseconds stalled_after = std::chrono::seconds(10), stuck_after = std::chrono::minutes(1);
  std::function<Result<void>(Db&)> sync = [](Db& db) { return db.sync(); };  // a seam: in tests a disk that hangs
};

class EmbeddedLog final : public EventLog, public EventSources {
 public:
  // `db` outlives the log; its directory is looked at for free space.
  static Result<std::unique_ptr<EmbeddedLog>, std::string> open(Db& db, std::string directory, EmbeddedLogConfig config,
                                                                Metrics& metrics);
  // Ends the writer behind the appends that wait; new ones are answered with Error::stopped. Sources and committers
  // must be gone.
  ~EmbeddedLog() override;

  Task<Result<Appended>> append(Record record) override;
  Task<std::vector<Result<Appended>>> append_all(std::vector<Record> records) override;
  bool keeps_state() const override { return true; }
  Task<std::vector<Result<Appended>>> append_with(std::vector<Record> records, Changes state) override;
  std::string_view durability() const override { return "disk"; }
  Result<void> writable() const override;
  bool feedback_alone() const override { return disk_scarce_; }
  bool live() const override { return !stuck_.stalled() && !broken_; }
  Partition partitions(Stream stream) const override { return stream == Stream::catalog ? 1 : config_.partitions; }
  Result<std::unique_ptr<EventSource>> open(std::vector<StartAt> starts) override;

  // A step's state goes into the log's own database. The parked changelog in its outputs is left out: the state that it
  // would rebuild is in the same write.
  std::unique_ptr<StepCommitter> committer();

  // One past the last durable record, and the first that has not been trimmed.
  Offset end(StreamPartition where) const;
  Offset first(StreamPartition where) const;

  // Forgets what is older than `retention` and below what every consumer has passed. Call now and then, from one
  // thread.
  void trim(Instant now, std::chrono::milliseconds retention, const std::function<Offset(StreamPartition)>& passed);

  // For a log that is a queue: erases what stands below `before`, with `more` in the same write, and returns when that
  // is on disk. One thread for each partition.
  Result<void> forget(StreamPartition where, Offset before, Changes more = {});

 private:
  friend class EmbeddedSource;
  friend class EmbeddedCommitter;
  struct PendingAppend;
  class Numbering;

  EmbeddedLog(Db& db, std::string directory, EmbeddedLogConfig config, Metrics& metrics);
  Result<void> load();
  Task<void> submit(PendingAppend& waiting);
  void write_until_stopped(std::stop_token stop);
  void write_batch(std::span<PendingAppend* const> batch);
  error_code write_and_sync(std::span<PendingAppend* const> batch, std::size_t& count);
  Result<void> number(std::span<PendingAppend* const> batch, Numbering& numbering, Changes& changes,
                      std::size_t& count) const;
  static void complete(std::span<PendingAppend* const> batch);
  Result<std::optional<Appended::Outcome>> known(const Record& record, Partition partition,
                                                 std::map<std::string, std::uint64_t, std::less<>>& batch) const;
  void broke(const char* act, error_code problem);
  void publish(Stream stream);
  void look_at_disk();

  Db& db_;
  const std::string directory_;
  const EmbeddedLogConfig config_;

  static constexpr std::size_t stream_count = std::size(all_streams) + 1;  // indexed by the enum's value
  std::array<std::mutex, stream_count> stream_mutex_;                      // taken in the streams' order
  std::array<std::vector<Offset>, stream_count> next_;                     // the next offset, under the stream's mutex
  std::array<std::unique_ptr<std::atomic<Offset>[]>, stream_count> end_;   // one past what readers may see
  std::array<std::unique_ptr<std::atomic<Offset>[]>, stream_count> first_;

  mutable std::mutex read_mutex_;
  std::condition_variable changed_;
  std::uint64_t version_ = 0;  // of end_, under read_mutex_

  std::mutex queue_mutex_;
  std::condition_variable_any queued_;
  std::vector<PendingAppend*> queue_;
  std::size_t queue_bytes_ = 0;
  bool stopping_ = false;
  std::atomic<bool> disk_full_{false}, disk_scarce_{false}, broken_{false};
  StallWatch stalled_, stuck_;  // of the writer's turn: the same, each with its limit
  mutable std::atomic<bool> stall_said_{false};

  Counter& appended_total_;
  Counter& failed_total_;
  Counter& batches_total_;
  Gauge& queue_bytes_gauge_;
  Gauge& disk_free_bytes_;
  Gauge& disk_reserve_bytes_;
  Histogram& sync_seconds_;

  std::jthread writer_;  // last: ends before anything else goes
};

}  // namespace assay
