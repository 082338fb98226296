// The spooled log: the contract where Kafka is well, and what it makes of one that is not.
#include "storage/log/spooled_log.hpp"

#include <filesystem>
#include <latch>
#include <set>

#include "ops/runtime/run_task.hpp"
#include "storage/db/db.hpp"
#include "storage/log/memory_log.hpp"
#include "storage/state/memory_key_value.hpp"
#include "tests/contract/event_log_contract.hpp"
#include "tests/support/temporary_directory.hpp"

namespace assay::contract {
namespace {

using namespace std::chrono_literals;

// In Kafka's place: a memory log that can be away, lose its answers, or refuse a record for good.
class Upstream final : public EventLog {
 public:
  explicit Upstream(MemoryLog& log) : log_(log) {}

  Task<Result<Appended>> append(Record record) override {
    std::vector<Record> one;
    one.push_back(std::move(record));
    auto results = co_await append_all(std::move(one));
    co_return results.front();
  }
  Task<std::vector<Result<Appended>>> append_all(std::vector<Record> records) override {
    std::vector<Result<Appended>> results;
    if (meanwhile) meanwhile();
    if (slow) {
      room_ = slow_room - std::min(slow_room, on_their_way_);
      on_their_way_ -= slow_room - room_;
    }
    const auto bad = [this](const Record& record) { return record.key == refused_key; };
    if (refuses_whole && std::ranges::any_of(records, bad)) {
      const auto too_long = boost::system::errc::make_error_code(boost::system::errc::message_size);
      co_return std::vector<Result<Appended>>(records.size(), too_long);
    }
    for (auto& record : records) {
      ++asked;
      if (record.key == refused_key)
        results.emplace_back(boost::system::errc::make_error_code(boost::system::errc::message_size));
      else if (full)
        results.emplace_back(Error::over_capacity);
      else if (away || record.key == stuck_key)
        results.emplace_back(Error::log_unavailable);
      else if (answers_left == 0)
        results.emplace_back(lost(record));
      else if (slow && !in_time(record))
        results.emplace_back(Error::timed_out);
      else
        results.push_back(taken(record));
    }
    co_return results;
  }
  std::string_view durability() const override { return "memory"; }
  Result<void> writable() const override {
    ++looked;
    if (changed) return Error::log_changed;
    return away && known_away ? Error::log_unavailable : Result<void>();
  }
  Partition partitions(Stream stream) const override { return log_.partitions(stream); }

  std::atomic<bool> away{false}, known_away{true}, full{false}, changed{false};
  std::atomic<int> answers_left{1'000'000};  // then records are written, and nobody is told
  std::atomic<int> asked{0};
  mutable std::atomic<int> looked{0};  // times that it was asked whether it is there
  std::atomic<bool> slow{false};  // has time for `slow_room` records until it must answer; the others come afterwards
  static constexpr int slow_room = 2;
  std::string refused_key, stuck_key;
  std::function<void()> meanwhile;  // happens before it answers
  bool refuses_whole = false;

 private:
  Result<Appended> taken(const Record& record) {
    --answers_left;
    return log_.put(record);
  }
  bool in_time(const Record& record) {
    if (room_ > 0) return room_-- > 0;
    ++on_their_way_;
    log_.put(record);
    return false;
  }
  error_code lost(const Record& record) {
    log_.put(record);
    answers_left = 1'000'000;
    return Error::timed_out;
  }
  MemoryLog& log_;
  int room_ = 0, on_their_way_ = 0;
};

class Spooled final : public LogUnderTest {
 public:
  explicit Spooled(SpoolConfig config = {.disk_reserve_bytes = 0}) : config_(config) { reopen(true); }
  // `reachable`: whether the upstream is there from the start.
  void reopen(bool reachable) {
    log_.reset();
    spool_.reset();
    db_.reset();
    metrics_ = std::make_unique<Metrics>();
    auto db = Db::open({.directory = directory_.path()});
    EXPECT_TRUE(db) << db.error();
    db_ = std::move(*db);
    auto spool = Spool::open(*db_, directory_.path(), config_, clock_, *metrics_);
    EXPECT_TRUE(spool) << spool.error();
    spool_ = std::move(*spool);
    auto open = [this]() -> Result<EventLog*, std::string> {
      if (upstream.away) return std::string("nobody there");
      return static_cast<EventLog*>(&upstream);
    };
    log_ = std::make_unique<SpooledLog>(
        *spool_, reachable ? &upstream : nullptr, open,
        SpooledLogConfig{.retry = 1ms, .drain_records_max = 7, .idle_wait = 1ms, .stuck_after = stuck_after});
  }
  IoContext& io() override { return io_; }
  SpooledLog& log() override { return *log_; }
  EventSources& sources() override { return memory; }
  std::unique_ptr<StepCommitter> committer(Partition) override { return memory.committer(state_); }
  KeyValue& state(Partition) override { return state_; }
  Spool& spool() { return *spool_; }
  Db& db() { return *db_; }
  double count(const std::string& name) { return metrics_->counter(name, "").Value(); }
  double gauge(const std::string& name) {
    const auto text = metrics_->text();
    const auto at = text.find("\n" + name + " ");
    return at == text.npos ? -1 : std::stod(text.substr(at + name.size() + 2));
  }

  MemoryLog memory{4};
  Upstream upstream{memory};
  std::chrono::milliseconds stuck_after = 2min;

 private:
  SpoolConfig config_;
  TemporaryDirectory directory_;
  SystemClock clock_;
  IoContext io_{1};
  MemoryKeyValue state_;
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<Db> db_;
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<SpooledLog> log_;
};

INSTANTIATE_TEST_SUITE_P(Spooled, EventLogContract,
                         testing::Values(Factory{"spooled", [] { return std::make_unique<Spooled>(); }}),
                         [](const auto& info) { return info.param.name; });

class SpooledLogTest : public testing::Test {
 protected:
  Result<Appended> append(const std::string& key, const std::string& value) {
    return run_task(on.io(), on.log().append({.stream = Stream::feedback, .key = key, .value = value}));
  }
  // What stands upstream of one key, in order.
  std::vector<std::string> arrived(const std::string& key) {
    std::vector<std::string> out;
    auto source = on.memory.open({{{Stream::feedback, partition_of(key, 4)}, 0}});
    for (;;) {
      const auto records = (*source)->read(1000, 0ms);
      if (!records || records->empty()) return out;
      for (const auto& record : *records)
        if (record.key == key) out.emplace_back(record.value);
    }
  }
  void drained() {
    const auto deadline = std::chrono::steady_clock::now() + 30s;
    while (!on.spool().empty() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    ASSERT_TRUE(on.spool().empty());
  }
  static std::vector<std::string> numbers(int count) {
    std::vector<std::string> out;
    for (int i = 0; i < count; ++i) out.push_back(std::to_string(i));
    return out;
  }
  Spooled on;
};

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

TEST_F(SpooledLogTest, TheAgeIsThatOfTheFirstRecordAlsoWhileKafkaWasNeverThere) {
  on.upstream.away = true;
  on.reopen(false);
  EXPECT_EQ(on.gauge("assay_spool_age_seconds"), 0);
  ASSERT_TRUE(append("k", "0"));
  std::this_thread::sleep_for(std::chrono::milliseconds(2));  // it is counted in milliseconds
  EXPECT_GT(on.gauge("assay_spool_age_seconds"), 0);
  EXPECT_LT(on.gauge("assay_spool_age_seconds"), 60);
}

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
