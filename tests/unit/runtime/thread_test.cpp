#include "ops/runtime/thread.hpp"

#include <gtest/gtest.h>

#include <future>
#include <thread>

namespace assay {
namespace {

using namespace std::chrono_literals;

TEST(SleepUnlessStopped, SaysWhetherItMayGoOn) {
  std::stop_source stop;
  EXPECT_TRUE(sleep_unless_stopped(stop.get_token(), 1ms));
  std::promise<bool> slept;
  std::jthread sleeper([&slept](std::stop_token own) { slept.set_value(sleep_unless_stopped(own, 1h)); });
  sleeper.request_stop();
  EXPECT_FALSE(slept.get_future().get());
  stop.request_stop();
  EXPECT_FALSE(sleep_unless_stopped(stop.get_token(), 1h));
}

}  // namespace
}  // namespace assay
