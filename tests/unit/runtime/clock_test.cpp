#include "ops/runtime/clock.hpp"

#include <gtest/gtest.h>

namespace assay {
namespace {

using namespace std::chrono_literals;

TEST(Time, IsWrittenAsMlflowWritesIt) {
  EXPECT_EQ(format_time(Instant{}), "1970-01-01T00:00:00Z");
  EXPECT_EQ(format_time(Instant{1795449441547ms}), "2026-11-23T15:57:21.547Z");
  EXPECT_EQ(format_time(Instant{1795449441007ms}), "2026-11-23T15:57:21.007Z");
  EXPECT_EQ(format_time(Instant{-1ms}), "1969-12-31T23:59:59.999Z");
}

TEST(Time, ReadsBackWhatWasWritten) {
  for (const auto at : {Instant{}, Instant{1795449441547ms}, Instant{951782400000ms}, Instant{4107542399999ms}})
    EXPECT_EQ(parse_time(format_time(at)), at);
}

TEST(Time, TakesOffsetsAndFractionsOfAnyLength) {
  const auto at = parse_time("2026-11-23T15:57:21.5Z");
  ASSERT_TRUE(at);
  EXPECT_EQ(parse_time("2026-11-23T16:57:21.500+01:00"), at);
  EXPECT_EQ(parse_time("2026-11-23T10:27:21.500999999-05:30"), at);
  EXPECT_EQ(parse_time("2026-11-23t15:57:21.5z"), at);
}

TEST(Time, RefusesWhatIsNoTime) {
  for (const auto* text : {"", "2026-11-23", "2026-11-23T15:57:21", "2026-02-30T00:00:00Z", "2026-11-23T24:00:00Z",
                           "2026-11-23T15:60:00Z", "2026-11-23T15:57:21.Z", "2026-11-23T15:57:21.1234567890Z",
                           "2026-11-23T15:57:21Zx", "2026-11-23 15:57:21Z", "2026-11-23T15:57:21+1:00"})
    EXPECT_FALSE(parse_time(text)) << text;
}

}  // namespace
}  // namespace assay
