#include "tests/contract/event_log_contract.hpp"

#include <set>
#include <thread>

namespace assay::contract {

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(EventLogContract);

TEST_P(EventLogContract, WhatIsAppendedIsReadBackInOrder) {
  std::vector<Offset> offsets;
  for (int i = 0; i < 20; ++i) {
    const auto appended = append(feedback("one-key", "value " + std::to_string(i)));
    ASSERT_TRUE(appended) << appended.error().message();
    EXPECT_EQ(appended->partition, partition_of("one-key", 4));
    offsets.push_back(appended->offset);
  }
  auto source = open_all(Stream::feedback);
  const auto read_back = read(*source, 20);
  ASSERT_EQ(read_back.size(), 20u);
  for (std::size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(read_back[i].key, "one-key");
    EXPECT_EQ(read_back[i].value, "value " + std::to_string(i));
    EXPECT_EQ(read_back[i].offset, offsets[i]);
  }
}

TEST_P(EventLogContract, KeysAreSpreadAsJavaSpreadsThem) {
  std::vector<Record> records;
  std::set<Partition> expected;
  for (int i = 0; i < 40; ++i) {
    records.push_back(feedback("key-" + std::to_string(i), "x"));
    expected.insert(partition_of(records.back().key, 4));
  }
  const auto results = run(under_test->log().append_all(std::move(records)));
  ASSERT_EQ(results.size(), 40u);
  std::set<Partition> used;
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(results[static_cast<std::size_t>(i)]);
    EXPECT_EQ(results[static_cast<std::size_t>(i)]->partition, partition_of("key-" + std::to_string(i), 4));
    used.insert(results[static_cast<std::size_t>(i)]->partition);
  }
  EXPECT_EQ(used, expected);
  EXPECT_EQ(read(*open_all(Stream::feedback), 40).size(), 40u);
}

TEST_P(EventLogContract, ATombstoneAndAnExplicitPartitionAndHeadersSurvive) {
  Record headed{.stream = Stream::assessments, .key = "tr-1", .value = "{}", .headers = {{"assessment_id", "a-1"}}};
  ASSERT_TRUE(append(headed));
  const auto resolved = read(*open_all(Stream::assessments), 1);
  ASSERT_EQ(resolved.size(), 1u);
  EXPECT_FALSE(resolved[0].tombstone);
  Record dead{.stream = Stream::deadletters, .key = "a-1", .value = std::nullopt, .partition = 3};
  const auto appended = append(dead);
  ASSERT_TRUE(appended);
  EXPECT_EQ(appended->partition, 3);
  const auto tombstones = read(*open_all(Stream::deadletters), 1);
  ASSERT_EQ(tombstones.size(), 1u);
  EXPECT_TRUE(tombstones[0].tombstone);
  EXPECT_EQ(tombstones[0].key, "a-1");
}

// Of a front door whose clock was wrong. A broker refuses what is stamped an hour ahead of its own.
TEST_P(EventLogContract, ARecordOfATimeThatIsAheadIsTaken) {
  auto record = feedback("k", "of next year");
  record.accepted_at =
      std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now()) + std::chrono::days(365);
  const auto appended = append(record);
  ASSERT_TRUE(appended) << appended.error().message();
  EXPECT_EQ(read(*open_all(Stream::feedback), 1)[0].value, "of next year");
}

TEST_P(EventLogContract, ASourceSeeksAndKnowsTheEnd) {
  const auto partition = partition_of("k", 4);
  const StreamPartition where{Stream::feedback, partition};
  Offset second = 0;
  for (int i = 0; i < 5; ++i) {
    const auto appended = append(feedback("k", std::to_string(i)));
    ASSERT_TRUE(appended);
    if (i == 1) second = appended->offset;
  }
  auto source = open({{where, 0}});
  EXPECT_EQ(read(*source, 5).size(), 5u);
  const auto end = source->end(where);
  ASSERT_TRUE(end);
  EXPECT_EQ(source->position(where), *end);
  ASSERT_TRUE(source->seek(where, second));
  const auto again = read(*source, 4);
  ASSERT_EQ(again.size(), 4u);
  EXPECT_EQ(again[0].value, "1");
}

TEST_P(EventLogContract, ReadFromGivesOnlyTheOneThatIsAskedFor) {
  const auto p = partition_of("k", 4);
  ASSERT_TRUE(append(feedback("k", "f")));
  ASSERT_TRUE(append({.stream = Stream::requests, .key = "k", .value = "tr-1"}));
  auto source = open({{{Stream::requests, p}, 0}, {{Stream::feedback, p}, 0}});
  std::size_t requests = 0;
  for (int tries = 0; tries < 50 && requests == 0; ++tries) {
    const auto records = source->read_from({Stream::requests, p}, 10);
    ASSERT_TRUE(records);
    for (const auto& r : *records) EXPECT_EQ(r.stream, Stream::requests);
    requests += records->size();
    if (requests == 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(100));  // a broker's first fetch takes its time
  }
  EXPECT_EQ(requests, 1u);
  EXPECT_EQ(read(*source, 1).size(), 1u);
}

TEST_P(EventLogContract, WakeEndsAReadThatWaits) {
  auto source = open_all(Stream::feedback);
  std::jthread waker([&] { source->wake(); });
  const auto start = std::chrono::steady_clock::now();
  const auto records = source->read(10, std::chrono::seconds(60));
  ASSERT_TRUE(records);
  EXPECT_TRUE(records->empty());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
}

TEST_P(EventLogContract, AReaderThatWaitsSeesTheNextAppend) {
  auto source = open_all(Stream::feedback);
  std::vector<Copy> seen;
  std::jthread reader([&] { seen = read(*source, 1); });
  ASSERT_TRUE(append(feedback("k", "late")));
  reader.join();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].value, "late");
}

TEST_P(EventLogContract, AStepsOutputsPositionAndStateAppearTogether) {
  auto committer = under_test->committer(1);
  Step step{.partition = 1};
  step.outputs.push_back({.stream = Stream::assessments, .key = "tr-1", .value = R"({"n":1})"});
  step.outputs.push_back({.stream = Stream::deadletters, .key = "a-9", .value = R"({"n":2})"});
  step.outputs.push_back({.stream = Stream::parked, .key = "a-5", .value = "{}", .partition = 1});
  step.state.put(Family::meta, "position", "7");
  step.feedback_position = 7;
  ASSERT_EQ(committer->commit(step), StepOutcome::committed);
  EXPECT_EQ(read(*open_all(Stream::assessments), 1).size(), 1u);
  EXPECT_EQ(read(*open_all(Stream::deadletters), 1).size(), 1u);
  const auto position = under_test->state(1).get(Family::meta, "position");
  ASSERT_TRUE(position && *position);
  EXPECT_EQ(**position, "7");
}

TEST_P(EventLogContract, ARepeatIsRefusedAtTheDoorByALogThatCanLook) {
  auto record = feedback("k", "v");
  record.identities.push_back({"a-1", 11});
  record.accepted_at = Instant(std::chrono::hours(24 * 365 * 50));
  const auto first = append(record);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->outcome, Appended::Outcome::appended);
  const auto repeat = append(record);
  ASSERT_TRUE(repeat);
  record.identities[0].body_hash = 12;
  const auto conflict = append(record);
  ASSERT_TRUE(conflict);
  if (under_test->knows_repeats()) {
    EXPECT_EQ(repeat->outcome, Appended::Outcome::duplicate);
    EXPECT_EQ(conflict->outcome, Appended::Outcome::conflict);
    EXPECT_EQ(read(*open_all(Stream::feedback), 1).size(), 1u);
  } else {
    EXPECT_EQ(repeat->outcome, Appended::Outcome::appended);
  }
}

TEST_P(EventLogContract, ManyAppendsAtOnceAllArrive) {
  constexpr int count = 500;
  int done = 0;
  for (int i = 0; i < count; ++i) {
    auto one = [this, i]() -> Task<Result<Appended>> {
      auto record = feedback("key-" + std::to_string(i), std::string(100, 'x'));
      co_return co_await under_test->log().append(std::move(record));
    };
    asio::co_spawn(under_test->io(), std::move(one), [&](std::exception_ptr, Result<Appended> result) {
      EXPECT_TRUE(result);
      if (++done == count) under_test->io().stop();
    });
  }
  under_test->io().restart();
  under_test->io().run();
  EXPECT_EQ(done, count);
  const auto all = read(*open_all(Stream::feedback), count);
  std::set<std::string> keys;
  for (const auto& record : all) keys.insert(record.key);
  EXPECT_EQ(keys.size(), static_cast<std::size_t>(count));
}

}  // namespace assay::contract
