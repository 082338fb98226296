#include "storage/log/milestone.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>

namespace assay {

void Milestone::reach(std::int64_t count) {
  std::scoped_lock lock(mutex_);
  if (count <= reached_) return;
  reached_ = count;
  for (auto at = waiters_.begin(); at != waiters_.end();) {
    auto& waiter = *at;
    if (waiter->count > count) {
      ++at;
      continue;
    }
    waiter->done = true;
    // The timer belongs to the waiter's thread.
    asio::post(waiter->executor, [waiter] { waiter->timer.cancel(); });
    at = waiters_.erase(at);
  }
}

std::int64_t Milestone::reached() const {
  std::scoped_lock lock(mutex_);
  return reached_;
}

Task<Result<void>> Milestone::wait(std::int64_t count, std::chrono::milliseconds limit) {
  const auto executor = co_await asio::this_coro::executor;
  std::shared_ptr<Waiter> waiter;
  {
    std::scoped_lock lock(mutex_);
    if (reached_ >= count) co_return Result<void>();
    waiter = std::make_shared<Waiter>(Waiter{count, executor, Timer(executor, limit)});
    waiters_.push_back(waiter);
  }
  // reach() may have posted its cancel already: it runs on this thread only after the wait has begun.
  co_await waiter->timer.async_wait(as_result);
  std::scoped_lock lock(mutex_);
  if (waiter->done) co_return Result<void>();
  waiters_.remove(waiter);
  co_return Result<void>(Error::timed_out);
}

}  // namespace assay
