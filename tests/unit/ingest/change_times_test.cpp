#include "ingest/feedback/change_times.hpp"

#include <gtest/gtest.h>

namespace assay {
namespace {

using namespace std::chrono_literals;

TEST(ChangeTimes, OfTwoChangesWithinAMillisecondTheSecondIsLater) {
  ChangeTimes times;
  const Instant noon(1'700'000'000'000ms);
  EXPECT_EQ(times.next("a-1", noon), noon);
  EXPECT_EQ(times.next("a-2", noon), noon) << "another assessment's";
  EXPECT_EQ(times.next("a-1", noon), noon + 1ms);
  EXPECT_EQ(times.next("a-1", noon - 5s), noon + 2ms) << "the clock was set back";
  EXPECT_EQ(times.next("a-1", noon + 1s), noon + 1s);
}

}  // namespace
}  // namespace assay
