#pragma once
// Where one task waits for something that may happen on another thread.
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <memory>

#include "ops/runtime/task.hpp"

namespace assay {

class Waiter : public std::enable_shared_from_this<Waiter> {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit Waiter(Executor executor) : timer_(executor) {}

  // On the waiter's thread. Returns at `until`, when woken, or for nothing: look again at what was waited for. A
  // wake() after the caller has made its wish known (under its lock) and before the wait is not lost: on this thread
  // nothing comes in between, and from another it is posted here.
  Task<void> wait(Time until) {
    timer_.expires_at(until);
    co_await timer_.async_wait(as_result);
  }
  // Any thread.
  void wake() {
    auto executor = timer_.get_executor();
    if (executor.running_in_this_thread()) {
      timer_.cancel();
    } else {
      asio::post(executor, [self = shared_from_this()] { self->timer_.cancel(); });
    }
  }

 private:
  Timer timer_;
};

}  // namespace assay
