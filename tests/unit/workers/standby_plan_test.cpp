#include "workers/standby_plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace assay {
namespace {

TEST(RangeOwner, IsAsTheStrategyDealsThemOut) {
  const auto owners = [](Partition partitions, std::size_t members) {
    std::vector<std::size_t> all, out;
    for (std::size_t i = 0; i < members; ++i) all.push_back(i);
    for (Partition p = 0; p < partitions; ++p) out.push_back(range_owner(p, partitions, all));
    return out;
  };
  using Owners = std::vector<std::size_t>;
  EXPECT_EQ(owners(4, 2), (Owners{0, 0, 1, 1}));
  EXPECT_EQ(owners(5, 2), (Owners{0, 0, 0, 1, 1}));
  EXPECT_EQ(owners(7, 3), (Owners{0, 0, 0, 1, 1, 2, 2}));
  EXPECT_EQ(owners(2, 4), (Owners{0, 1})) << "more members than partitions";
}

TEST(StandbyPlan, ACopyIsWhereThePartitionGoesWhenItsOwnerDies) {
  using Partitions = std::vector<Partition>;
  EXPECT_EQ(standby_partitions(4, 2, 0, 1), (Partitions{2, 3}));
  EXPECT_EQ(standby_partitions(4, 2, 1, 1), (Partitions{0, 1}));
  EXPECT_EQ(standby_partitions(4, 1, 0, 1), Partitions{}) << "nobody else is there";
  for (const std::size_t members : {2u, 3u, 5u})
    for (Partition p = 0; p < 12; ++p) {
      std::vector<std::size_t> all;
      for (std::size_t i = 0; i < members; ++i) all.push_back(i);
      auto left = all;
      const auto owner = range_owner(p, 12, all);
      std::erase(left, owner);
      const auto heir = range_owner(p, 12, left);
      int copies = 0;
      for (const auto member : all) {
        const auto copy_of = standby_partitions(12, members, member, 1);
        const bool has = std::ranges::count(copy_of, p) == 1;
        copies += has;
        EXPECT_EQ(has, member == heir) << members << " members, partition " << p << ", member " << member;
      }
      EXPECT_EQ(copies, 1);
    }
}

TEST(StandbyPlan, NCopiesAreOnNOthers) {
  for (Partition p = 0; p < 12; ++p) {
    int copies = 0;
    for (std::size_t member = 0; member < 4; ++member) {
      const auto copy_of = standby_partitions(12, 4, member, 2);
      copies += static_cast<int>(std::ranges::count(copy_of, p));
    }
    EXPECT_EQ(copies, 2);
  }
}

}  // namespace
}  // namespace assay
