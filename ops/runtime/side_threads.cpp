#include "ops/runtime/side_threads.hpp"

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <exception>
#include <memory>

#include "ops/runtime/error.hpp"
#include "ops/runtime/thread.hpp"

namespace assay {
namespace {

void introduce(const char* name) {
  static thread_local bool known = false;
  if (std::exchange(known, true)) return;
  name_this_thread(name);
  run_in_background();
}

}  // namespace

Task<Result<void>> SideThreads::run(const std::function<void()>& work) {
  if (++here_ > most_) {
    --here_;
    co_return make_error_code(Error::over_capacity);
  }
  // Given back when it has run, or could not be given away.
  std::shared_ptr<void> place(nullptr, [this](void*) { --here_; });
  std::exception_ptr failed;
  auto begin = [this, &work, &failed, &place](auto handler) {
    auto executor = asio::get_associated_executor(handler);
    auto guard = asio::make_work_guard(executor);
    auto there = [this, &work, &failed, executor, guard = std::move(guard), handler = std::move(handler),
                  place = std::move(place)]() mutable {
      introduce(name_);
      try {
        work();
      } catch (...) {
        failed = std::current_exception();
      }
      place.reset();
      asio::post(executor, std::move(handler));
    };
    asio::post(pool_, std::move(there));
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<Executor>&, void()>(std::move(begin), use_task);
  if (failed) std::rethrow_exception(failed);
  co_return Result<void>();
}

}  // namespace assay
