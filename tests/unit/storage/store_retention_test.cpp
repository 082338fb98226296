#include "storage/store/keys.hpp"
#include "tests/unit/storage/store_fixture.hpp"

namespace assay {
namespace {

using namespace testing_records;
using StoreRetentionTest = StoreTest;

TEST_F(StoreRetentionTest, ATombstoneSaysWhenItsTraceWasLastDeletedAndMayGoLongAfter) {
  const auto key = store_keys::trace_tombstone("tr-1");
  const auto may_go = [&](Instant cutoff) {
    return store_keys::tombstone_may_go(key, kv_.get(Family::traces, key)->value(), cutoff);
  };
  apply(erase_trace("tr-1", at(5)));
  apply(erase_trace("tr-1", at(3)));
  apply(erase_trace("tr-1", at(9)));
  EXPECT_FALSE(may_go(at(9)));
  EXPECT_TRUE(may_go(at(10)));
  EXPECT_FALSE(store_keys::tombstone_may_go(key, "", at(10)));  // an earlier version's
  EXPECT_FALSE(store_keys::tombstone_may_go(store_keys::trace_info("tr-1"), std::string(8, '\0'), at(10)));
}

TEST_F(StoreRetentionTest, WhatIsOlderThanTheRetentionGoesAsIfItHadBeenDeleted) {
  using namespace std::chrono_literals;
  StoreSink sink(kv_, clock_, nullptr, 24h);
  const auto apply_to = [&](Record record) {
    const auto read = log_.add(std::move(record), 0);
    ASSERT_TRUE(sink.apply({&read, 1}));
  };
  for (int i = 0; i < 600; ++i)
    apply_to(trace("tr-old-" + std::to_string(i), at(0), located(i % 2 ? "0" : "31", at(0) - 25h)));
  apply_to(trace("tr-new", at(0), located("31", at(0) - 23h)));
  apply_to(feedback("a-old", "tr-old-599", at(0), "n", "true"));
  apply_to(feedback("a-new", "tr-new", at(0), "n", "true"));
  EXPECT_NE(info("tr-old-599"), "none");
  clock_.set(at(60));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(sink.apply({}));  // no records come: it looks all the same
  for (const auto* old : {"tr-old-0", "tr-old-1", "tr-old-598", "tr-old-599"}) {
    EXPECT_EQ(info(old), "none");
    EXPECT_TRUE(*store_.deleted(old));
  }
  EXPECT_EQ(assessment("a-old"), "none");
  EXPECT_NE(info("tr-new"), "none");
  EXPECT_NE(assessment("a-new"), "none");
  clock_.set(at(0) + 2h);
  ASSERT_TRUE(sink.apply({}));
  EXPECT_EQ(info("tr-new"), "none");
}

TEST_F(StoreRetentionTest, WhatIsTooOldGoesThoughTheClockWasSetBack) {
  using namespace std::chrono_literals;
  StoreSink sink(kv_, clock_, nullptr, 24h);
  clock_.set(at(0) + 1h);
  ASSERT_TRUE(sink.apply({}));
  clock_.set(at(0));
  const auto old = log_.add(trace("tr-old", at(0), located("31", at(0) - 25h)), 0);
  ASSERT_TRUE(sink.apply({&old, 1}));
  clock_.set(at(60));
  ASSERT_TRUE(sink.apply({}));
  EXPECT_EQ(info("tr-old"), "none");
}

TEST_F(StoreRetentionTest, WhatNoExperimentHasAndWhatWasSaidOfUnknownTracesExpiresToo) {
  using namespace std::chrono_literals;
  StoreSink sink(kv_, clock_, nullptr, 24h);
  const auto apply_to = [&](Record record) {
    const auto read = log_.add(std::move(record), 0);
    ASSERT_TRUE(sink.apply({&read, 1}));
  };
  const auto begun = [](Instant time) { return R"("request_time":")" + format_time(time) + "\""; };
  apply_to(trace("tr-bare-old", at(0), begun(at(0) - 25h)));
  apply_to(trace("tr-bare-new", at(0), begun(at(0) - 23h)));
  apply_to(trace("tr-tag-old", at(0) - 26h, R"("tags":{"k":"1"})"));
  apply_to(trace("tr-tag-new", at(0) - 26h, R"("tags":{"k":"1"})"));
  apply_to(trace("tr-tag-new", at(0) - 1h, R"("tags":{"k":"2"})"));
  for (int i = 0; i < 600; ++i)
    apply_to(feedback("a-" + std::to_string(i), "tr-elsewhere-" + std::to_string(i / 2), at(0) - 25h,
                      i % 3 ? "b" : "n" + std::to_string(i), "true"));
  apply_to(feedback("a-again", "tr-elsewhere-0", at(0), "n", "true"));
  apply_to(feedback("a-new", "tr-elsewhere-new", at(0), "n", "true"));
  apply_to(update("a-held", "u-1", "tr-held", at(0) - 25h, R"("feedback":{"value":false})"));
  apply_to(trace("tr-late", at(0), located("31", at(0))));
  for (int i = 0; i < 600; ++i)  // said before their trace began: they hide nothing behind them
    apply_to(feedback("a-early-" + std::to_string(i), "tr-late", at(0) - 26h, "b", "true"));
  clock_.set(at(60));
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(sink.apply({}));
  for (const auto* old : {"tr-bare-old", "tr-tag-old", "tr-elsewhere-0", "tr-elsewhere-299", "tr-held"})
    EXPECT_TRUE(*store_.deleted(old)) << old;
  for (const auto* old : {"a-0", "a-1", "a-599", "a-again"}) EXPECT_EQ(assessment(old), "none") << old;
  EXPECT_EQ(store_.locate("a-held")->value().kind, Store::Located::Kind::deleted);
  for (const auto* kept : {"tr-bare-new", "tr-tag-new", "tr-late"}) EXPECT_NE(info(kept), "none") << kept;
  for (const auto* kept : {"a-new", "a-early-0", "a-early-599"}) EXPECT_NE(assessment(kept), "none") << kept;
}

}  // namespace
}  // namespace assay
