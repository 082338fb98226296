// Which part of a load is repeated, and which comes early.
#include "bench/load/share.hpp"

#include <gtest/gtest.h>

namespace assay::load {
namespace {

TEST(LoadShare, ARunOfAnyLengthHasItsShareOfRepeats) {
  for (const double share : {0.0, 0.1, 0.3, 0.5, 0.999, 1.0}) {
    std::uint64_t repeated = 0;
    for (std::uint64_t n = 0; n < 3'000; ++n) {
      repeated += is_repeated(n, share);
      ASSERT_NEAR(static_cast<double>(repeated), static_cast<double>(n + 1) * share, 1.0001) << n << " of " << share;
    }
  }
}

TEST(LoadShare, SoHaveTracesWhereverARunOfThemBegins) {
  for (const double share : {0.0, 0.1, 0.3, 0.5, 1.0})
    for (const std::uint64_t from : {0u, 7u, 9'990u}) {
      std::uint64_t early = 0;
      for (std::uint64_t n = 0; n < 3'000; ++n) {
        early += is_early(from + n, share);
        const auto meant = static_cast<double>(n + 1) * share;
        ASSERT_NEAR(static_cast<double>(early), meant, share == 0 || share == 1 ? 0 : 5) << from << " " << n;
      }
    }
}

TEST(LoadShare, RepeatsAreOfEarlyTracesAndOfOthers) {
  int both = 0;
  for (std::uint64_t n = 0; n < 10'000; ++n) both += is_repeated(n, 0.1) && is_early(n, 0.1);
  EXPECT_NEAR(both, 100, 30);
}

}  // namespace
}  // namespace assay::load
