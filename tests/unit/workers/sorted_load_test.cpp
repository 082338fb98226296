#include "workers/sorted_load.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "storage/state/memory_key_value.hpp"

namespace assay {
namespace {

TEST(SortedLoad, LeavesOfEachKeyTheLastChangeInARunAndOverRuns) {
  MemoryKeyValue state;
  SortedLoad load(state, Family::index, 1 << 20);
  load.add("b", "1");
  load.add("a", "1");
  load.add("b", "2");
  load.add("c", "1");
  load.add("c", std::nullopt);
  ASSERT_TRUE(load.flush());
  EXPECT_TRUE(load.empty());
  EXPECT_EQ(**state.get(Family::index, "a"), "1");
  EXPECT_EQ(**state.get(Family::index, "b"), "2");
  EXPECT_FALSE(*state.get(Family::index, "c"));
  load.add("a", std::nullopt);
  load.add("b", "3");
  ASSERT_TRUE(load.flush());
  EXPECT_FALSE(*state.get(Family::index, "a"));
  EXPECT_EQ(**state.get(Family::index, "b"), "3");
}

TEST(SortedLoad, KeepsWhatItWasGivenWhateverBecomesOfTheBytes) {
  MemoryKeyValue state;
  SortedLoad load(state, Family::index, 64 << 20);
  std::map<std::string, std::string> model;
  std::mt19937 random(1);
  for (int i = 0; i < 50'000; ++i) {
    std::string key = "k" + std::to_string(random() % 20'000), value(random() % 100, static_cast<char>('a' + i % 26));
    load.add(key, value);
    model[key] = value;
  }
  ASSERT_TRUE(load.flush());
  std::map<std::string, std::string> found;
  ASSERT_TRUE(state.scan(Family::index, "", "", [&](std::string_view key, std::string_view value) {
    found.emplace(key, value);
    return true;
  }));
  EXPECT_EQ(found, model);
}

}  // namespace
}  // namespace assay
