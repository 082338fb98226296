#include "ops/runtime/side_threads.hpp"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <latch>
#include <stdexcept>
#include <thread>

#include "ops/runtime/error.hpp"
#include "ops/runtime/run_task.hpp"

namespace assay {
namespace {

TEST(SideThreads, WorkElsewhereAndComeBack) {
  SideThreads aside("aside", 1, 8);
  IoContext context(1);
  std::thread::id worked, back;
  const std::function<void()> work = [&] { worked = std::this_thread::get_id(); };
  const auto ask = [&]() -> Task<bool> {
    const auto ran = co_await aside.run(work);
    back = std::this_thread::get_id();
    co_return ran.has_value();
  };
  EXPECT_TRUE(run_task(context, ask()));
  EXPECT_NE(worked, std::this_thread::get_id());
  EXPECT_NE(worked, std::thread::id());
  EXPECT_EQ(back, std::this_thread::get_id());
}

TEST(SideThreads, ThrowWhatWasThrownToTheCaller) {
  SideThreads aside("aside", 1, 8);
  IoContext context(1);
  const std::function<void()> work = [] { throw std::runtime_error("a bug"); };
  const auto ask = [&]() -> Task<bool> {
    const auto ran = co_await aside.run(work);
    co_return ran.has_value();
  };
  for (int i = 0; i < 20; ++i) EXPECT_THROW(run_task(context, ask()), std::runtime_error) << "its place is free again";
}

TEST(SideThreads, RefuseWhatWouldWaitTooLong) {
  SideThreads aside("aside", 1, 3);
  IoContext context(1);
  std::latch free(1);
  std::atomic<int> worked = 0;
  int refused = 0;
  const std::function<void()> work = [&] {
    free.wait();
    ++worked;
  };
  const auto ask = [&]() -> Task<void> {
    const auto ran = co_await aside.run(work);
    if (!ran && ran.error() == Error::over_capacity) ++refused;
  };
  for (int i = 0; i < 5; ++i) asio::co_spawn(context, ask(), [](std::exception_ptr failed) { EXPECT_FALSE(failed); });
  while (refused < 2) context.run_one();
  free.count_down();
  context.run();
  EXPECT_EQ(worked, 3);
  EXPECT_EQ(refused, 2);
}

}  // namespace
}  // namespace assay
