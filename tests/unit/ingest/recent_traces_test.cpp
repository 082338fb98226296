#include "ingest/feedback/recent_traces.hpp"

#include <gtest/gtest.h>

namespace assay {
namespace {

TEST(RecentTraces, ForgetsTheOldestFirst) {
  RecentTraces recent(4);
  recent.add("tr-1", "req-1");
  recent.add("tr-2", "req-2");
  EXPECT_EQ(recent.find("req-1"), "tr-1");
  recent.add("tr-3", "");
  EXPECT_FALSE(recent.find("tr-1"));
  EXPECT_EQ(recent.find("req-1"), "tr-1");
  EXPECT_EQ(recent.find("tr-3"), "tr-3");
}

TEST(RecentTraces, AnIdThatIsAddedAgainIsYoungAgain) {
  RecentTraces recent(2);
  recent.add("tr-1", "");
  recent.add("tr-2", "");
  recent.add("tr-1", "");
  EXPECT_EQ(recent.find("tr-1"), "tr-1");
  EXPECT_TRUE(recent.find("tr-2"));
  recent.add("tr-3", "");
  EXPECT_TRUE(recent.find("tr-1"));
  EXPECT_FALSE(recent.find("tr-2"));
}

}  // namespace
}  // namespace assay
