#include <gtest/gtest.h>

#include "storage/state/memory_key_value.hpp"
#include "storage/state/parked_state.hpp"
#include "storage/state/partition_state.hpp"
#include "storage/state/remains_state.hpp"
#include "storage/state/state_keys.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;

const Instant start{std::chrono::milliseconds(1'700'000'000'000)};

ParkedRecord waiting(const std::string& id, const std::string& target, std::int64_t order, Instant expires = start) {
  return {.target = {Target::Kind::client_request_id, target},
          .accepted_at = start,
          .expires_at = expires,
          .order = order,
          .item = {id, id, R"({"assessment_id":")" + id + R"("})"}};
}

TEST(State, WhatWaitsIsReleasedInOrderAndAnIdThatBeginsAnotherIsNotTakenForIt) {
  MemoryKeyValue state;
  Changes changes;
  park(changes, 1, waiting("a-9", "req", 5));
  park(changes, 1, waiting("a-1", "req", 300));
  park(changes, 1, waiting("a-2", std::string("req\0\0", 5), 1));
  park(changes, 2, waiting("a-3", "req", 1));
  ASSERT_TRUE(state.write(changes));
  EXPECT_EQ(*waiting_for(state, 1, "req", 10), (std::vector<std::string>{"a-9", "a-1"}));
  EXPECT_EQ(*waiting_for(state, 1, "req", 1), (std::vector<std::string>{"a-9"}));
  EXPECT_EQ(awaited_ids(state, 1, "", 10)->size(), 2u);
  EXPECT_EQ(*awaited_ids(state, 1, "req", 10), (std::vector<std::string>{std::string("req\0\0", 5)}));
  EXPECT_EQ(*count_parked(state, 1), 3);
}

TEST(State, UnparkingLeavesNothing) {
  MemoryKeyValue state;
  Changes changes;
  park(changes, 0, waiting("a-1", "req-1", 5, start + 1h));
  unpark(changes, 0, waiting("a-1", "req-1", 5, start + 1h));
  ASSERT_TRUE(state.write(changes));
  int keys = 0;
  ASSERT_TRUE(state.scan(Family::parked, "", "", [&](auto, auto) { return ++keys > 0; }));
  EXPECT_EQ(keys, 0);
}

TEST(State, TheTimeUpIsFoundOldestFirst) {
  MemoryKeyValue state;
  Changes changes;
  park(changes, 0, waiting("a-1", "req-1", 1, start + 2ms));
  park(changes, 0, waiting("a-2", "req-1", 2, start + 1ms));
  park(changes, 0, waiting("a-3", "req-1", 3, start + 3ms));
  ASSERT_TRUE(state.write(changes));
  EXPECT_EQ(*expired_at(state, 0, start + 2ms, 10), (std::vector<std::string>{"a-2", "a-1"}));
  EXPECT_EQ(*next_expiry(state, 0), start + 1ms);
}

TEST(State, AWipeTakesOnePartitionAndFinishesWhatWasInterrupted) {
  MemoryKeyValue state;
  Changes changes;
  const Meta meta{
      .requests = 1, .feedback = 2, .parked = 3, .accepted_max = start, .ledger = {.logged = 4, .parked = 4}};
  for (const Partition p : {0, 1}) {
    park(changes, p, waiting("a-1", "req-1", 1));
    put_trace(changes, p, "req-2", "tr-2");
    save_meta(changes, p, meta, {});
  }
  changes.put(Family::meta, state::meta_key(0, state::wiping), "1");
  ASSERT_TRUE(state.write(changes));
  ASSERT_TRUE(finish_wipe(state, 0));
  EXPECT_EQ(*load_meta(state, 0), Meta{});
  EXPECT_EQ(*count_parked(state, 0), 0);
  EXPECT_EQ(*load_meta(state, 1), meta);
  EXPECT_EQ(*count_parked(state, 1), 1);
  ASSERT_TRUE(wipe(state, 1));
  EXPECT_EQ(*load_meta(state, 1), Meta{});
}

TEST(State, WhatIsLeftOfTheDeadComesBackFromTheChangelogBesideWhatWaits) {
  MemoryKeyValue state;
  const Remains before{.assessment_id = "a-1", .until = start + 1h, .letters = {"a-1"}};
  const Remains after{.assessment_id = "a-1", .until = start + 2h, .taken_back = true};
  const auto replay = [&](const std::vector<Record>& records) {
    std::vector<LogRecord> read;
    for (const auto& record : records)
      read.push_back({Stream::parked, 1, 0, record.key, record.value ? std::string_view(*record.value) : "",
                      !record.value, Instant{}});
    Changes changes;
    const auto more = replay_parked(state, 1, read, changes);
    ASSERT_TRUE(more);
    ASSERT_TRUE(state.write(changes));
  };
  const auto over = [&](Instant now) { return *remains_over(state, 1, now, 10); };
  replay({to_record(before, 1), to_record(waiting("a-2", "req-1", 1), 1)});
  EXPECT_TRUE(*has_remains(state, 1));
  EXPECT_EQ(*count_parked(state, 1), 1);
  EXPECT_EQ(over(start + 1h), std::vector<std::string>{"a-1"});
  replay({to_record(before, 1), to_record(after, 1)});
  const std::vector<std::string> ids{"a-1", "a-2"};
  const auto found = *find_remains(state, 1, ids);
  EXPECT_TRUE(found[0]->taken_back);
  EXPECT_FALSE(found[1]);
  EXPECT_EQ(over(start + 1h), std::vector<std::string>{});
  EXPECT_FALSE(*has_remains(state, 2));
  replay({to_record(Remains{.assessment_id = "a-1"}, 1)});
  EXPECT_FALSE(*has_remains(state, 1));
  EXPECT_EQ(over(start + 3h), std::vector<std::string>{});
}

TEST(State, AnAgedEntryMayGoAndWhatCantBeReadStays) {
  const auto value = encode_seen({1, 2, start});
  EXPECT_FALSE(seen_may_go(value, start));
  EXPECT_TRUE(seen_may_go(value, start + 1ms));
  EXPECT_FALSE(seen_may_go("?", start + 1h));
}

TEST(State, TheKeysOnDiskStayAsTheyAre) {
  EXPECT_EQ(state::waiting_key(1, "ab", 2, "a-1"), std::string("\0\0\0\1t\0\2ab\0\0\0\0\0\0\0\2a-1", 20));
  EXPECT_EQ(state::parked_key(1, "a-1"), std::string("\0\0\0\1ra-1", 8));
  EXPECT_EQ(state::expiry_key(1, Instant(2ms), "a-1"), std::string("\0\0\0\1e\0\0\0\0\0\0\0\2a-1", 16));
  EXPECT_EQ(state::remains_key(1, "a-1"), std::string("\0\0\0\1da-1", 8));
  EXPECT_EQ(state::over_key(1, Instant(2ms), "a-1"), std::string("\0\0\0\1f\0\0\0\0\0\0\0\2a-1", 16));
}

}  // namespace
}  // namespace assay
