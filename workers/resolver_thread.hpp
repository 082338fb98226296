#pragma once
// Runs the resolver of one partition on a thread of its own: its scans and commits block.
#include <thread>

#include "storage/log/stall_watch.hpp"
#include "workers/backoff.hpp"
#include "workers/partition_loop.hpp"

namespace assay {

class ResolverThread {
 public:
  // Begins. What the loop was given must outlive this.
  explicit ResolverThread(PartitionLoopConfig config, EventSources& sources, KeyValue& state, OpenPartition open,
                          const Clock& clock, Metrics& metrics, Progress* progress);
  ~ResolverThread();  // stops

  // Ends after the step in hand, and waits for that. May be called twice.
  void stop();
  // For /livez: it hangs inside a step, or an opening of the partition. Thread-safe.
  bool stuck() const { return pass_.stalled() || opening_.stalled(); }

 private:
  void run(std::stop_token stop);

  const Partition partition_;
  const std::chrono::microseconds rest_;
  PartitionLoop loop_;
  StallWatch pass_, opening_;
  std::jthread thread_;  // last: ends before anything else goes
};

}  // namespace assay
