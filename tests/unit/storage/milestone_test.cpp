#include "storage/log/milestone.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "ops/runtime/run_task.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;

TEST(Milestone, WhatWasReachedIsNotWaitedFor) {
  Milestone milestone;
  milestone.reach(3);
  milestone.reach(2);
  EXPECT_EQ(milestone.reached(), 3) << "it never goes back";
  IoContext io(1);
  EXPECT_TRUE(run_task(io, milestone.wait(3, 0ms)));
}

TEST(Milestone, WhoWaitsIsWokenByAnyNumberThatIsAsMuch) {
  Milestone milestone;
  IoContext io(1);
  std::jthread reaching([&] {
    milestone.reach(1);
    milestone.reach(9);
  });
  EXPECT_TRUE(run_task(io, milestone.wait(5, 60s)));
}

TEST(Milestone, WhatIsNotReachedInTimeTimesOutAndCountsForTheNextWhoWaits) {
  Milestone milestone;
  IoContext io(1);
  milestone.reach(4);
  EXPECT_EQ(run_task(io, milestone.wait(5, 1ms)).error(), Error::timed_out);
  milestone.reach(5);
  EXPECT_TRUE(run_task(io, milestone.wait(5, 0ms)));
}

}  // namespace
}  // namespace assay
