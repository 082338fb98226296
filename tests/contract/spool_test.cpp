// The spool: its room, its age, and what is kept beside it.
#include "tests/contract/spooled_log_fixture.hpp"

namespace assay::contract {
namespace {

TEST(SpoolBound, ItsRoomIsNoMoreThanTheDiskHas) {
  constexpr std::size_t more_than_a_disk = std::size_t(1) << 60;
  Spooled on({.bytes_max = more_than_a_disk, .disk_reserve_bytes = 1});
  EXPECT_LT(on.spool().room(), more_than_a_disk);
  EXPECT_TRUE(on.spool().writable());
  Spooled full({.disk_reserve_bytes = more_than_a_disk});
  EXPECT_EQ(full.spool().room(), 0u);
  EXPECT_EQ(full.spool().writable().error(), make_error_code(Error::log_full));
}

TEST(SpoolBound, AFullSpoolRefusesTakesNothingAndHasRoomAgainWhenItHasDrained) {
  Spooled on({.bytes_max = 10'000, .disk_reserve_bytes = 0, .room_min = 2'000});
  on.upstream.away = true;
  const auto append = [&] {
    return run_task(on.io(),
                    on.log().append({.stream = Stream::feedback, .key = "k", .value = std::string(1000, 'x')}));
  };
  int taken = 0;
  Result<Appended> last = append();
  for (; last && taken < 100; last = append()) ++taken;
  EXPECT_EQ(taken, 9);
  ASSERT_FALSE(last);
  EXPECT_EQ(last.error(), make_error_code(Error::log_full)) << "nothing was written";
  ASSERT_FALSE(on.log().writable());
  on.reopen(false);
  EXPECT_FALSE(append()) << "it is as full as before";
  on.upstream.away = false;
  const auto deadline = std::chrono::steady_clock::now() + 30s;
  while (!on.spool().empty() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_EQ(on.spool().room(), 10'000u);
  EXPECT_TRUE(append());
  EXPECT_EQ(on.memory.end({Stream::feedback, partition_of("k", 4)}), 10);
}

// A chat, as it begins and as it ends.
std::vector<Record> begun(std::size_t bytes) {
  return {{.stream = Stream::requests, .key = "req-1", .value = "tr-1"},
          {.stream = Stream::traces, .key = "tr-1", .value = std::string(bytes, 'x')}};
}
std::vector<Record> ended() { return {{.stream = Stream::traces, .key = "tr-1", .value = std::string(300, 'x')}}; }

TEST(SpoolBound, TheLastEighthIsForFeedbackAndForWhatHasBegun) {
  Spooled on({.bytes_max = 40'000, .disk_reserve_bytes = 0, .room_min = 500});
  on.upstream.away = true;
  const auto append = [&](std::vector<Record> records) {
    return run_task(on.io(), on.log().append_all(std::move(records))).front();
  };
  const auto feedback = [](std::size_t bytes) {
    return std::vector<Record>{{.stream = Stream::feedback, .key = "k", .value = std::string(bytes, 'x')}};
  };
  EXPECT_FALSE(on.log().feedback_alone());
  Result<Appended> last = append(begun(700));
  for (int i = 0; last && i < 100; ++i) last = append(begun(700));
  ASSERT_FALSE(last);
  EXPECT_EQ(last.error(), make_error_code(Error::log_full)) << "the same as when it is full";
  EXPECT_GE(on.spool().room(), 5'000u);
  EXPECT_TRUE(on.log().feedback_alone());
  EXPECT_TRUE(on.log().writable()) << "feedback would be taken";
  EXPECT_TRUE(append(ended()));
  EXPECT_TRUE(append(feedback(3'000)));
  EXPECT_FALSE(append(begun(1))) << "however small";
  on.reopen(false);
  EXPECT_TRUE(on.log().feedback_alone()) << "also when it starts anew";
  EXPECT_FALSE(append(begun(1)));
  on.upstream.away = false;
  const auto deadline = std::chrono::steady_clock::now() + 30s;
  while (!on.spool().empty() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_FALSE(on.log().feedback_alone());
  on.upstream.away = true;
  EXPECT_TRUE(append(begun(1)));
}

TEST_F(SpooledLogTest, TheAgeIsThatOfTheFirstRecordAlsoWhileKafkaWasNeverThere) {
  on.upstream.away = true;
  on.reopen(false);
  EXPECT_EQ(on.gauge("assay_spool_age_seconds"), 0);
  ASSERT_TRUE(append("k", "0"));
  std::this_thread::sleep_for(std::chrono::milliseconds(2));  // it is counted in milliseconds
  EXPECT_GT(on.gauge("assay_spool_age_seconds"), 0);
  EXPECT_LT(on.gauge("assay_spool_age_seconds"), 60);
}

TEST_F(SpooledLogTest, ARecordThatKafkaRefusesForGoodIsKeptAsideAndHoldsNobodyBack) {
  on.upstream.away = true;
  ASSERT_TRUE(append("k", "0"));
  ASSERT_TRUE(append("bad", "v"));
  ASSERT_TRUE(append("k", "1"));
  on.upstream.refused_key = "bad";
  on.upstream.away = false;
  drained();
  EXPECT_EQ(arrived("k"), numbers(2));
  int aside = 0;
  ASSERT_TRUE(on.db().scan(Family::journal, "spool/aside/", after_prefix("spool/aside/"),
                           [&](std::string_view, std::string_view) { return ++aside > 0; }));
  EXPECT_EQ(aside, 1);
}

TEST_F(SpooledLogTest, OneThatIsTooLongIsFoundAmongThoseThatAreRefusedWithIt) {
  on.upstream.away = true;
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(append(i == 11 ? "bad" : "k", std::to_string(i)));
  on.upstream.refused_key = "bad";
  on.upstream.refuses_whole = true;
  on.upstream.away = false;
  drained();
  EXPECT_EQ(arrived("k").size(), 19u);
  EXPECT_EQ(on.count("assay_spool_aside_total"), 1);
}

}  // namespace
}  // namespace assay::contract
