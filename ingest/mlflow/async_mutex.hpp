#pragma once
// One at a time, across threads, for coroutines: who waits does not hold its thread.
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "ops/runtime/task.hpp"

namespace assay {

class AsyncMutex {
 public:
  // Held until it dies; the next one goes on then.
  class Turn {
   public:
    Turn(Turn&& other) noexcept : of_(std::exchange(other.of_, nullptr)) {}
    Turn& operator=(Turn&&) = delete;
    ~Turn() {
      if (of_) of_->leave();
    }

   private:
    friend class AsyncMutex;
    explicit Turn(AsyncMutex& of) : of_(&of) {}
    AsyncMutex* of_;
  };

  // First come, first served; none: it was not our turn within `limit`.
  Task<std::optional<Turn>> enter(std::chrono::milliseconds limit);

 private:
  struct Waiter {
    Executor executor;
    Timer timer;
    bool called = false;  // under the mutex
  };
  // Takes the waiter out, and passes on a turn that it was given and did not take.
  struct QueueEntry;
  void leave();

  std::mutex mutex_;
  bool taken_ = false;
  std::list<std::shared_ptr<Waiter>> waiting_;
};

}  // namespace assay
