#include "ingest/mlflow/async_mutex.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>

namespace assay {

struct AsyncMutex::QueueEntry {
  AsyncMutex& of;
  std::shared_ptr<Waiter> waiter;
  bool taken = false;

  ~QueueEntry() {
    bool called;
    {
      std::scoped_lock lock(of.mutex_);
      of.waiting_.remove(waiter);
      called = waiter->called;
    }
    if (called && !taken) of.leave();
  }
};

Task<std::optional<AsyncMutex::Turn>> AsyncMutex::enter(std::chrono::milliseconds limit) {
  const auto executor = co_await asio::this_coro::executor;
  auto waiter = std::make_shared<Waiter>(Waiter{executor, decltype(Waiter::timer)(executor, limit)});
  QueueEntry place{*this, waiter};
  {
    std::scoped_lock lock(mutex_);
    if (!taken_) {
      taken_ = true;
      co_return std::optional<Turn>(Turn(*this));
    }
    waiting_.push_back(waiter);
  }
  // leave() may have posted its cancel already: it runs on this thread only after the wait has begun.
  co_await waiter->timer.async_wait(as_result);
  {
    std::scoped_lock lock(mutex_);
    place.taken = waiter->called;
  }
  if (!place.taken) co_return std::nullopt;
  co_return std::optional<Turn>(Turn(*this));
}

void AsyncMutex::leave() {
  std::shared_ptr<Waiter> next;
  {
    std::scoped_lock lock(mutex_);
    if (waiting_.empty()) {
      taken_ = false;
      return;
    }
    next = std::move(waiting_.front());
    waiting_.pop_front();
    next->called = true;
  }
  // The timer belongs to the waiter's thread.
  asio::post(next->executor, [next] { next->timer.cancel(); });
}

}  // namespace assay
