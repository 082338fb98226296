#pragma once
// The event log of a front door that outlives its Kafka: what Kafka does not take goes to a spool on the door's own
// disk, and from there to Kafka in the order in which it came.
//
// Order. While the spool is not empty everything goes through it. A record counts as on the spool before its append is
// answered, so what is sent after that answer queues behind it. What was sent straight to Kafka and had no answer yet
// when the spool began is concurrent with all of it: nobody was told which of the two came first.
//
// The way back. While records come all the time the spool would never be empty. So when little is left on it, and Kafka
// takes what it is given, it is closed: what is appended waits until the spool is empty, and then goes straight to
// Kafka. It waits a moment at most; then the spool takes it after all.
//
// Nothing is lost, some may be sent twice: a record whose fate Kafka leaves open (it expired in the producer, the
// acknowledgement got lost) goes to the spool and is sent again; from the spool everything from the first failure on
// is. Record ids are the same, and the workers drop the repeat; the streams without ids are kept by key, and the last
// of a key is the last again.
#include <functional>
#include <thread>

#include "storage/log/milestone.hpp"
#include "storage/log/spool.hpp"
#include "storage/log/stall_watch.hpp"

namespace assay {

struct SpooledLogConfig {
  std::chrono::milliseconds stalled_after{1000};  // appends wait and none was acknowledged for so long
  std::chrono::milliseconds retry{200};           // between two tries to drain, or to open Kafka
  std::size_t drain_records_max = 1000;           // sent at once; with so few left the spool is closed
  std::chrono::milliseconds closing_max{250};     // an append waits no longer for the spool to become empty
  std::chrono::milliseconds idle_wait{500};
  // One look at the spool, or one answer of Kafka's, for /livez: that comes within the log's append_timeout, 30 s at
  // the most, and opening it takes some seconds.
  std::chrono::milliseconds stuck_after = std::chrono::minutes(2);
  // What partitions() answers until Kafka has been reached: what an earlier life was told.
  std::array<Partition, std::size(all_streams) + 1> partitions{};
};

class SpooledLog final : public EventLog {
 public:
  // Opens Kafka's log and keeps it; blocks for some seconds at most; an error is a sentence. Called from one thread,
  // again and again until it succeeds.
  using OpenUpstream = std::function<Result<EventLog*, std::string>()>;

  // `upstream`: null where Kafka could not be reached yet. All outlives the log.
  SpooledLog(Spool& spool, EventLog* upstream, OpenUpstream open, SpooledLogConfig config = {});
  ~SpooledLog() override;  // stops

  Task<Result<Appended>> append(Record record) override;
  Task<std::vector<Result<Appended>>> append_all(std::vector<Record> records) override;
  std::string_view durability() const override;
  // Kafka takes it, or the spool has room.
  Result<void> writable() const override;
  bool feedback_alone() const override { return !direct() && spool_.feedback_alone(); }
  bool live() const override { return spool_.live() && !drain_step_.stalled(); }
  Partition partitions(Stream stream) const override;

  // Whether Kafka was opened, and takes what it is given.
  bool reachable() const;
  // Whether what is appended now goes straight to Kafka.
  bool direct() const;
  // Ends the draining; what is left stays on the spool. Appends are still taken.
  void stop();

 private:
  using Steady = std::chrono::steady_clock;
  class InFlight;

  bool stalled() const;
  bool changed() const;
  bool for_the_spool(const error_code& failure, const EventLog& upstream) const;
  Task<Result<Appended>> to_spool(Record record, error_code before);
  Task<void> while_closing();
  void begin_closing();
  void end_closing();
  void drain_until_stopped(std::stop_token stop);
  void try_to_open();
  bool drain_some();
  void drained();
  bool send(std::span<const Spool::Queued> queued);

  Spool& spool_;
  const OpenUpstream open_;
  const SpooledLogConfig config_;
  std::atomic<EventLog*> upstream_;
  std::atomic<std::int64_t> in_flight_{0};
  std::atomic<Steady::rep> progress_;  // the last acknowledgement, or when the first of those in flight set out
  std::atomic<bool> stuck_{false};     // what the drain sent last Kafka did not take
  std::atomic<Steady::rep> closing_until_{0};
  std::atomic<std::int64_t> closings_{0};                  // begun; the last of them at most is not over
  Milestone closed_;                                       // how many are over
  std::size_t drain_records_ = config_.drain_records_max;  // sent at once; this and the next are the drain's
  bool draining_ = false;
  Steady::time_point closing_again_;  // not before
  std::string complaint_;             // said once
  IoContext drain_io_{1};             // of the draining thread
  StallWatch drain_step_;
  std::jthread drain_;
};

}  // namespace assay
