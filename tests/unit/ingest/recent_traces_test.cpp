#include "ingest/feedback/recent_traces.hpp"

#include <gtest/gtest.h>

namespace assay {
namespace {

constexpr Instant t0{std::chrono::hours(24)};

TEST(RecentTraces, ForgetsTheOldestFirst) {
  RecentTraces recent(4);
  recent.add("tr-1", "req-1", t0);
  recent.add("tr-2", "req-2", t0);
  EXPECT_EQ(recent.find("req-1"), "tr-1");
  recent.add("tr-3", "", t0);
  EXPECT_FALSE(recent.find("tr-1"));
  EXPECT_EQ(recent.find("req-1"), "tr-1");
  EXPECT_EQ(recent.find("tr-3"), "tr-3");
}

TEST(RecentTraces, AnIdThatIsAddedAgainIsYoungAgain) {
  RecentTraces recent(2);
  recent.add("tr-1", "", t0);
  recent.add("tr-2", "", t0);
  recent.add("tr-1", "", t0);
  EXPECT_EQ(recent.find("tr-1"), "tr-1");
  EXPECT_TRUE(recent.find("tr-2"));
  recent.add("tr-3", "", t0);
  EXPECT_TRUE(recent.find("tr-1"));
  EXPECT_FALSE(recent.find("tr-2"));
}

TEST(RecentTraces, WhatWasToldTooLongAgoNamesNothing) {
  RecentTraces recent;
  recent.add("tr-1", "req-1", t0);
  EXPECT_EQ(recent.find("req-1", t0), "tr-1");
  const auto later = t0 + std::chrono::milliseconds(1);
  EXPECT_FALSE(recent.find("req-1", later));
  EXPECT_FALSE(recent.find("tr-1", later));
  recent.add("tr-1", "req-1", later);
  EXPECT_EQ(recent.find("req-1", later), "tr-1");
}

}  // namespace
}  // namespace assay
