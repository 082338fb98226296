#include "ops/runtime/ids.hpp"

#include <gtest/gtest.h>

#include <set>
#include <thread>

namespace assay {
namespace {

TEST(Ids, ARandomOneIsItsPrefixAndThirtyTwoHexDigits) {
  const auto id = random_id(trace_prefix);
  EXPECT_EQ(id.size(), 35u);
  EXPECT_TRUE(id.starts_with("tr-"));
  EXPECT_EQ(id.find_first_not_of("0123456789abcdef", 3), std::string::npos);
  EXPECT_EQ(random_span_id().size(), 16u);
}

TEST(Ids, RandomOnesDifferAcrossThreadsToo) {
  std::vector<std::vector<std::string>> made(4);
  std::vector<std::thread> threads;
  for (auto& mine : made)
    threads.emplace_back([&mine] {
      for (int i = 0; i < 1000; ++i) mine.push_back(random_id(""));
    });
  for (auto& thread : threads) thread.join();
  std::set<std::string> all;
  for (const auto& mine : made) all.insert(mine.begin(), mine.end());
  EXPECT_EQ(all.size(), 4000u);
}

TEST(Ids, ATimeOrderedOneIsAUuidOfVersionSevenAndSortsByItsTime) {
  const Instant at{std::chrono::milliseconds(0x0123456789ab)};
  const auto id = time_ordered_id("a-", at);
  ASSERT_EQ(id.size(), 34u);
  EXPECT_EQ(id.substr(0, 14), "a-0123456789ab");
  EXPECT_EQ(id[14], '7');
  EXPECT_NE(std::string("89ab").find(id[18]), std::string::npos);
  EXPECT_LT(id, time_ordered_id("a-", at + std::chrono::milliseconds(1)));
  EXPECT_NE(id, time_ordered_id("a-", at));
}

TEST(Ids, ADerivedOneIsAFunctionOfItsPartsAndOfWhereTheyEnd) {
  EXPECT_EQ(derived_id("a-", {"x", "y"}), derived_id("a-", {"x", "y"}));
  EXPECT_NE(derived_id("a-", {"ab", "c"}), derived_id("a-", {"a", "bc"}));
  EXPECT_NE(derived_id("a-", {"ab"}), derived_id("a-", {"ab", ""}));
  EXPECT_NE(content_hash({"ab", "c"}), content_hash({"a", "bc"}));
}

}  // namespace
}  // namespace assay
