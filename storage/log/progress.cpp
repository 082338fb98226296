#include "storage/log/progress.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>

namespace assay {

void Progress::advance(Follower who, StreamPartition where, Offset next) {
  std::scoped_lock lock(mutex_);
  auto& reached = reached_[{who, where}];
  if (next <= reached) return;
  reached = next;
  for (auto at = waiters_.begin(); at != waiters_.end();) {
    auto& waiter = *at;
    if (waiter->key != Key{who, where} || waiter->next > next) {
      ++at;
      continue;
    }
    waiter->done = true;
    // The timer belongs to the waiter's thread.
    asio::post(waiter->executor, [waiter] { waiter->timer.cancel(); });
    at = waiters_.erase(at);
  }
}

Offset Progress::reached(Follower who, StreamPartition where) const {
  std::scoped_lock lock(mutex_);
  const auto at = reached_.find({who, where});
  return at == reached_.end() ? 0 : at->second;
}

Task<Result<void>> Progress::wait(Follower who, StreamPartition where, Offset next, std::chrono::milliseconds limit) {
  const auto executor = co_await asio::this_coro::executor;
  std::shared_ptr<Waiter> waiter;
  {
    std::scoped_lock lock(mutex_);
    if (reached_[{who, where}] >= next) co_return Result<void>();
    waiter = std::make_shared<Waiter>(Waiter{{who, where}, next, executor, decltype(Waiter::timer)(executor, limit)});
    waiters_.push_back(waiter);
  }
  // advance() may have posted its cancel already: it runs on this thread only after the wait has begun.
  co_await waiter->timer.async_wait(as_result);
  std::scoped_lock lock(mutex_);
  if (waiter->done) co_return Result<void>();
  waiters_.remove(waiter);
  co_return Result<void>(Error::timed_out);
}

}  // namespace assay
