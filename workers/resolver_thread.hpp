#pragma once
// Runs the resolver of one partition on a thread of its own: its scans and commits block.
#include <thread>

#include "workers/backoff.hpp"
#include "workers/partition_loop.hpp"

namespace assay {

class ResolverThread {
 public:
  // Begins. What the loop was given must outlive this.
  explicit ResolverThread(PartitionLoopConfig config, EventSources& sources, KeyValue& state, OpenPartition open,
                          const Clock& clock, Metrics& metrics, Progress* progress);
  // Ends after the step in hand, and waits for that.
  ~ResolverThread();

  // Asks it to end, does not wait. Thread-safe.
  void stop();
  // The partition belongs to someone else (OpenPartition said Error::stopped), or stop() was called. Thread-safe.
  bool ended() const { return ended_; }
  bool caught_up() const { return loop_.caught_up(); }
  // The time of the last pass of the loop: for /livez. Thread-safe.
  std::chrono::steady_clock::time_point last_pass() const { return last_pass_; }

 private:
  void run(std::stop_token stop);

  const Partition partition_;
  const std::chrono::microseconds rest_;
  PartitionLoop loop_;
  std::atomic<bool> ended_{false};
  std::atomic<std::chrono::steady_clock::time_point> last_pass_;
  std::jthread thread_;  // last: ends before anything else goes
};

}  // namespace assay
