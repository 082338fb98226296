#pragma once
// A count that only grows, and those who wait until it has come to some number.
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <list>
#include <memory>
#include <mutex>

#include "ops/runtime/error.hpp"
#include "ops/runtime/result.hpp"
#include "ops/runtime/task.hpp"

namespace assay {

// Thread-safe.
class Milestone {
 public:
  // Nothing where it was there before.
  void reach(std::int64_t count);
  std::int64_t reached() const;
  // Error::timed_out after `limit`. Completes on the caller's executor.
  Task<Result<void>> wait(std::int64_t count, std::chrono::milliseconds limit);

 private:
  struct Waiter {
    std::int64_t count;
    Executor executor;
    Timer timer;
    bool done = false;  // under the mutex
  };
  mutable std::mutex mutex_;
  std::int64_t reached_ = 0;
  std::list<std::shared_ptr<Waiter>> waiters_;
};

}  // namespace assay
