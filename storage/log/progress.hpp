#pragma once
// How far the followers of the log in this process have come, for readers who wait for their own writes.
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <list>
#include <map>
#include <memory>
#include <mutex>

#include "ops/runtime/error.hpp"
#include "ops/runtime/result.hpp"
#include "ops/runtime/task.hpp"
#include "storage/records/record.hpp"

namespace assay {

enum class Follower : std::uint8_t { resolver, store };

// Thread-safe.
class Progress {
 public:
  // `next`: one past the last offset whose effects can be read. Never goes back.
  void advance(Follower who, StreamPartition where, Offset next);
  Offset reached(Follower who, StreamPartition where) const;
  // Error::timed_out after `limit`. Completes on the caller's executor.
  Task<Result<void>> wait(Follower who, StreamPartition where, Offset next, std::chrono::milliseconds limit);

 private:
  using Key = std::pair<Follower, StreamPartition>;
  struct Waiter {
    Key key;
    Offset next;
    Executor executor;
    Timer timer;
    bool done = false;  // under the mutex
  };
  mutable std::mutex mutex_;
  std::map<Key, Offset> reached_;
  std::list<std::shared_ptr<Waiter>> waiters_;
};

}  // namespace assay
