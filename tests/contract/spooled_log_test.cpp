// The spooled log: the contract where Kafka is well, and what it makes of one that is not.
#include "tests/contract/spooled_log_fixture.hpp"

#include <latch>

namespace assay::contract {
namespace {

INSTANTIATE_TEST_SUITE_P(Spooled, EventLogContract,
                         testing::Values(Factory{"spooled", [] { return std::make_unique<Spooled>(); }}),
                         [](const auto& info) { return info.param.name; });

TEST_F(SpooledLogTest, WhileKafkaIsWellNothingTouchesTheDisk) {
  const auto appended = append("k", "v");
  ASSERT_TRUE(appended);
  EXPECT_EQ(durability_of(on.log(), appended), "memory");
  EXPECT_EQ(appended->offset, 0);
  EXPECT_TRUE(on.spool().empty());
}

TEST_F(SpooledLogTest, WhatIsAcceptedWhileKafkaIsAwayComesInOrderWhenItIsBack) {
  ASSERT_TRUE(append("k", "0"));
  on.upstream.away = true;
  for (int i = 1; i < 40; ++i) {
    const auto appended = append("k", std::to_string(i));
    ASSERT_TRUE(appended) << appended.error().message();
    EXPECT_EQ(durability_of(on.log(), appended), "disk");
    EXPECT_EQ(on.log().durability(), "disk");  // of an answer that kept no append's own
  }
  EXPECT_TRUE(on.log().writable());
  EXPECT_EQ(arrived("k"), numbers(1));
  on.upstream.away = false;
  drained();
  EXPECT_EQ(arrived("k"), numbers(40));
  const auto after = append("k", "40");
  EXPECT_EQ(durability_of(on.log(), after), "memory");
  EXPECT_EQ(arrived("k"), numbers(41));
}

TEST_F(SpooledLogTest, AnOpeningOfKafkaThatThrowsIsTriedAgain) {
  on.throws_left = 2;
  on.reopen(false);
  ASSERT_TRUE(append("k", "0"));
  drained();
  EXPECT_EQ(arrived("k"), numbers(1));
  EXPECT_EQ(on.throws_left, 0);
}

TEST_F(SpooledLogTest, WhileSomethingIsOnTheSpoolNothingOvertakesIt) {
  on.upstream.away = true;
  ASSERT_TRUE(append("k", "0"));
  on.upstream.known_away = false;  // an append would be tried, and the drain tries
  for (int i = 1; i < 5; ++i) EXPECT_EQ(durability_of(on.log(), append("k", std::to_string(i))), "disk");
  on.upstream.away = false;
  for (int i = 5; i < 200; ++i) ASSERT_TRUE(append("k", std::to_string(i)));
  drained();
  EXPECT_EQ(arrived("k"), numbers(200));
}

TEST_F(SpooledLogTest, UnderLoadWithoutAPauseItGoesBackToKafkaAndNothingIsOvertaken) {
  constexpr int rounds = 20;
  on.upstream.away = true;
  ASSERT_TRUE(append("k", "0"));
  std::atomic<int> answered{1}, direct{0}, rounds_left{rounds};
  std::thread::id users;
  // While Kafka takes what comes from the spool one more is appended, unless it waits.
  on.upstream.meanwhile = [&] {
    if (on.upstream.away || std::this_thread::get_id() == users) return;
    --rounds_left;
    const auto before = answered.load();
    const auto deadline = std::chrono::steady_clock::now() + 50ms;
    while (answered == before && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(100us);
  };
  std::jthread user([&] {
    users = std::this_thread::get_id();
    on.upstream.away = false;
    for (int i = 1; direct == 0 && rounds_left > 0; ++i) {
      const auto appended = append("k", std::to_string(i));
      EXPECT_TRUE(appended);
      direct = appended && appended->durability.empty();
      ++answered;
    }
  });
  user.join();
  EXPECT_EQ(direct, 1) << "after " << rounds << " rounds of the drain";
  drained();
  EXPECT_EQ(arrived("k"), numbers(answered));
}

TEST_F(SpooledLogTest, AnAppendWaitsForTheSpoolToBecomeEmptyNoLongerThanAMoment) {
  on.upstream.away = true;
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(append("k", std::to_string(i)));  // one more than is sent at once
  std::atomic<int> sent{0};
  std::atomic<bool> go_on{false};
  on.upstream.meanwhile = [&] {
    while (++sent > 1 && !go_on) std::this_thread::yield();
  };
  on.upstream.away = false;
  while (sent < 2) std::this_thread::yield();
  const auto appended = append("k", "8");  // while the last one is on its way to Kafka
  EXPECT_EQ(durability_of(on.log(), appended), "disk");
  go_on = true;
  drained();
  EXPECT_EQ(arrived("k"), numbers(9));
}

TEST_F(SpooledLogTest, WhatWasOnTheSpoolByThenIsTakenOffWhileMoreIsOnIt) {
  on.upstream.away = true;
  on.upstream.stuck_key = "stuck";
  ASSERT_TRUE(on.spool().taken_off(on.spool().end()));
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(append("k", std::to_string(i)));
  const auto by_then = on.spool().end();
  ASSERT_TRUE(append("stuck", "0"));
  EXPECT_FALSE(on.spool().taken_off(by_then));
  on.upstream.away = false;
  const auto deadline = std::chrono::steady_clock::now() + 30s;
  while (!on.spool().taken_off(by_then) && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_TRUE(on.spool().taken_off(by_then));
  EXPECT_FALSE(on.spool().empty());
  EXPECT_FALSE(on.spool().taken_off(on.spool().end()));
  EXPECT_FALSE(on.log().reachable()) << "what the drain sends it does not take";
}

TEST_F(SpooledLogTest, AnAppendOfUnknownFateIsAcceptedAndSentAgain) {
  on.upstream.answers_left = 0;
  const auto appended = append("k", "0");
  ASSERT_TRUE(appended);
  EXPECT_EQ(durability_of(on.log(), appended), "disk");
  drained();
  EXPECT_EQ(arrived("k"), (std::vector<std::string>{"0", "0"})) << "the workers drop the repeat";
}

TEST_F(SpooledLogTest, ADrainThatGotNoAnswerSendsAgainFromThereOn) {
  on.upstream.away = true;
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(append("k", std::to_string(i)));
  on.upstream.answers_left = 2;
  // A round of the drain that has read fewer than the five must be over.
  for (const int before = on.upstream.looked; on.upstream.looked < before + 2;) std::this_thread::yield();
  on.upstream.away = false;
  drained();
  EXPECT_EQ(arrived("k"), (std::vector<std::string>{"0", "1", "2", "3", "4", "2", "3", "4"}));
}

// What timed out is not gone: it is on its way, before what is sent again.
TEST_F(SpooledLogTest, ASlowKafkaGetsLessAtOnceInsteadOfTheSameBehindItself) {
  on.upstream.away = true;
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(append("k", std::to_string(i)));
  on.upstream.slow = true;
  on.upstream.away = false;
  drained();
  EXPECT_LT(on.upstream.asked, 400);
  EXPECT_EQ(arrived("k").back(), "39");
}

TEST_F(SpooledLogTest, OfSeveralThoseThatKafkaDidNotTakeGoToTheSpool) {
  on.upstream.answers_left = 1;
  std::vector<Record> records;
  for (int i = 0; i < 3; ++i) records.push_back({.stream = Stream::feedback, .key = "k", .value = std::to_string(i)});
  const auto results = run_task(on.io(), on.log().append_all(std::move(records)));
  for (const auto& result : results) EXPECT_TRUE(result);
  EXPECT_TRUE(results[0]->durability.empty());
  EXPECT_EQ(results[1]->durability, "disk");
  EXPECT_EQ(durability_of(on.log(), results), "disk");
  drained();
  EXPECT_EQ(arrived("k"), (std::vector<std::string>{"0", "1", "2", "1"}));
}

TEST_F(SpooledLogTest, LoadIsRefusedAndNotSpooled) {
  on.upstream.full = true;
  const auto refused = append("k", "v");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), make_error_code(Error::over_capacity));
  EXPECT_TRUE(on.spool().empty());
}

TEST_F(SpooledLogTest, TheFaultOfARecordStaysItsFault) {
  on.upstream.refused_key = "bad";
  const auto refused = append("bad", "v");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), boost::system::errc::message_size);
  on.upstream.away = true;
  const auto long_one = append("k", std::string(1'000'001, 'x'));
  ASSERT_FALSE(long_one) << "Kafka would never take it";
  EXPECT_EQ(long_one.error(), boost::system::errc::message_size);
}

TEST_F(SpooledLogTest, WhatIsOnDiskDrainsAfterARestartThatFindsNoKafkaAtFirst) {
  on.upstream.away = true;
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(append("k", std::to_string(i)));
  on.reopen(false);
  EXPECT_FALSE(on.spool().empty());
  EXPECT_TRUE(on.log().writable());
  ASSERT_TRUE(append("k", "20"));
  on.upstream.away = false;
  drained();
  EXPECT_EQ(arrived("k"), numbers(21));
  on.upstream.away = true;
  ASSERT_TRUE(append("k", "21"));
  on.reopen(true);
  on.upstream.away = false;
  drained();
  EXPECT_EQ(arrived("k"), numbers(22)) << "what was drained does not come again";
}

TEST_F(SpooledLogTest, ALogThatHasChangedGetsNothingMoreAndNeitherDoesTheSpool) {
  on.upstream.away = true;
  ASSERT_TRUE(append("k", "0"));
  on.upstream.changed = true;
  on.upstream.away = false;
  const auto refused = append("k", "1");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), make_error_code(Error::log_changed));
  EXPECT_EQ(on.log().writable().error(), make_error_code(Error::log_changed));
  EXPECT_FALSE(on.spool().empty()) << "it waits for a person";
  EXPECT_TRUE(arrived("k").empty());
}

TEST_F(SpooledLogTest, ADrainThatGetsNoAnswerForMuchLongerThanKafkaHasForOneIsNotLive) {
  on.stuck_after = 50ms;
  on.reopen(true);
  on.upstream.away = true;
  ASSERT_TRUE(append("k", "0"));
  std::latch may_go(1);
  on.upstream.meanwhile = [&] { may_go.wait(); };
  on.upstream.away = false;
  const auto live = [&](bool wanted) {
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (on.log().live() != wanted && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    return on.log().live() == wanted;
  };
  EXPECT_TRUE(live(false));
  may_go.count_down();
  drained();
  EXPECT_TRUE(live(true));
}

}  // namespace
}  // namespace assay::contract
