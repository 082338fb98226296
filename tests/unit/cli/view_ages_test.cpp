#include "ops/cli/view_ages.hpp"

#include <gtest/gtest.h>

#include "storage/state/partition_state.hpp"
#include "storage/store/keys.hpp"
#include "tests/support/hand_clock.hpp"

namespace assay::cli {
namespace {

using namespace std::chrono_literals;

class ViewCutoffsTest : public testing::Test {
 protected:
  bool id_may_go(Instant told_at) const { return cutoffs_.may_go(Family::index, "any", index_value("tr-1", told_at)); }
  bool tombstone_may_go(Instant deleted_at) const {
    return cutoffs_.may_go(Family::traces, store_keys::trace_tombstone("tr-1"),
                           store_keys::tombstone_value(deleted_at));
  }

  HandClock clock_;
  const Instant began_ = clock_.now();
  ViewAges ages_{.retention = 24h, .request_retention = 48h};
  ViewCutoffs cutoffs_{ages_, clock_};
};

TEST_F(ViewCutoffsTest, AnIdGoesWhenNobodyKnowsItAnyMore) {
  EXPECT_FALSE(id_may_go(began_ - 48h));
  EXPECT_TRUE(id_may_go(began_ - 48h - 1ms));
  EXPECT_FALSE(cutoffs_.may_go(Family::index, "any", "tr-1")) << "told at no known time";
  ages_.request_retention = 0ms;
  EXPECT_FALSE(id_may_go(began_ - 10'000h));
}

TEST_F(ViewCutoffsTest, ATombstoneGoesOnlyAfterTheIdsAndOnceAllBeforeItWasSeen) {
  EXPECT_FALSE(tombstone_may_go(began_ - 10'000h)) << "nobody knows what is still to come";
  cutoffs_.all_seen(began_);
  EXPECT_FALSE(tombstone_may_go(began_ - 72h));
  EXPECT_TRUE(tombstone_may_go(began_ - 72h - 1ms));
  clock_ += 100h;
  EXPECT_FALSE(tombstone_may_go(began_ - 72h)) << "this view stands still";
  EXPECT_FALSE(cutoffs_.may_go(Family::traces, store_keys::trace_info("tr-1"), "12345678")) << "no tombstone";
}

TEST_F(ViewCutoffsTest, WhatWasDeletedByHandStaysDeletedWhereTheViewKeepsTracesOrIdsForEver) {
  cutoffs_.all_seen(began_);
  ages_ = {.retention = 0ms, .request_retention = 48h};
  EXPECT_FALSE(tombstone_may_go(began_ - 10'000h));
  ages_ = {.retention = 24h, .request_retention = 0ms};
  EXPECT_FALSE(tombstone_may_go(began_ - 10'000h));
}

}  // namespace
}  // namespace assay::cli
