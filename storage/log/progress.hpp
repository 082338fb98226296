#pragma once
// How far the followers of the log in this process have come, for readers who wait for their own writes.
#include <map>
#include <mutex>

#include "storage/log/milestone.hpp"
#include "storage/records/record.hpp"

namespace assay {

enum class Follower : std::uint8_t { resolver, store };

// Thread-safe.
class Progress {
 public:
  // `next`: one past the last offset whose effects can be read. Never goes back.
  void advance(Follower who, StreamPartition where, Offset next) { of(who, where).reach(next); }
  Offset reached(Follower who, StreamPartition where) const { return of(who, where).reached(); }
  // See Milestone::wait().
  Task<Result<void>> wait(Follower who, StreamPartition where, Offset next, std::chrono::milliseconds limit) {
    return of(who, where).wait(next, limit);
  }

 private:
  Milestone& of(Follower who, StreamPartition where) const {
    std::scoped_lock lock(mutex_);
    return milestones_[{who, where}];
  }
  mutable std::mutex mutex_;
  mutable std::map<std::pair<Follower, StreamPartition>, Milestone> milestones_;  // none ever goes
};

}  // namespace assay
