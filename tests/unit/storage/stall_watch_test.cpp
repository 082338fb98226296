#include "storage/log/stall_watch.hpp"

#include <gtest/gtest.h>

namespace assay {
namespace {

using namespace std::chrono_literals;
constexpr StallWatch::Steady::time_point start{1h};

struct StallWatchTest : testing::Test {
  // Looks every ten seconds, from `from` until `to`; the last answer.
  bool look(std::chrono::seconds from, std::chrono::seconds to, std::int64_t moved = 0) {
    bool stalled = false;
    for (auto at = from; at <= to; at += 10s) stalled = watch.stalled(moved, start + at);
    return stalled;
  }
  StallWatch watch{60s};
};

TEST_F(StallWatchTest, AStepThatLastsForTheLimitHasStalled) {
  watch.begin(start);
  EXPECT_FALSE(look(10s, 50s));
  EXPECT_TRUE(look(60s, 60s));
  EXPECT_TRUE(look(70s, 70s));
}

TEST_F(StallWatchTest, WhoGoesFromStepToStepOrWaitsForOneHasNot) {
  EXPECT_FALSE(look(0s, 600s)) << "nothing has begun";
  watch.begin(start);
  EXPECT_FALSE(look(10s, 50s));
  watch.begin(start + 50s);
  EXPECT_FALSE(look(60s, 100s));
  watch.end();
  EXPECT_FALSE(look(110s, 600s));
}

TEST_F(StallWatchTest, ALongStepThatMovesHasNot) {
  watch.begin(start);
  for (std::int64_t moved = 0; moved < 10; ++moved) EXPECT_FALSE(look(moved * 50s, moved * 50s + 40s, moved));
  EXPECT_TRUE(look(500s, 600s, 9));
}

// Stopped by a signal, or asleep: nobody looked, and nothing could move.
TEST_F(StallWatchTest, AProcessThatWasStoppedAndGoesOnHasNot) {
  watch.begin(start);
  EXPECT_FALSE(look(10s, 10s));
  EXPECT_FALSE(watch.stalled(0, start + 24h));
  EXPECT_FALSE(watch.stalled(0, start + 24h + 10s));
  EXPECT_TRUE(watch.stalled(0, start + 24h + 20s));
}

TEST_F(StallWatchTest, AStepThatIsFirstSeenLateIsLookedAtAgain) {
  watch.begin(start);
  EXPECT_FALSE(watch.stalled(0, start + 1h));
  EXPECT_TRUE(watch.stalled(0, start + 2h));
}

TEST_F(StallWatchTest, AStepEndsWithItsScope) {
  StallWatch at_once(0s);
  {
    const StallWatch::Step step(at_once);
    EXPECT_TRUE(at_once.stalled());
  }
  EXPECT_FALSE(at_once.stalled());
}

}  // namespace
}  // namespace assay
