// RocksDB as a worker uses it: without a write-ahead log, loaded as sorted files, aged by compaction.
#include <gtest/gtest.h>

#include <filesystem>

#include "storage/db/db.hpp"
#include "tests/support/temporary_directory.hpp"

namespace assay {
namespace {

std::unique_ptr<Db> open(const TemporaryDirectory& directory, bool cache = true) {
  auto db = Db::open({.directory = directory.path(), .cache = cache});
  if (!db) throw std::runtime_error(db.error());
  return std::move(*db);
}

void put(Db& db, Family family, const std::string& key, const std::string& value) {
  Changes changes;
  changes.put(family, key, value);
  ASSERT_TRUE(db.write(changes));
}

TEST(DbCache, WhatWasClosedInOrderIsAllThere) {
  TemporaryDirectory directory;
  put(*open(directory), Family::index, "a", "1");
  EXPECT_EQ(**open(directory)->get(Family::index, "a"), "1");
}

// What a kill -9 at this moment leaves: the files as they are, and nothing of what is in memory.
std::unique_ptr<Db> after_a_kill(const TemporaryDirectory& directory, const TemporaryDirectory& copy) {
  std::filesystem::copy(directory.path(), copy.path() + "/db");
  return std::move(*Db::open({.directory = copy.path() + "/db", .cache = true}));
}

TEST(DbCache, AfterAKillAllFamiliesAreOfTheSameMoment) {
  TemporaryDirectory directory, copy;
  const auto db = open(directory);
  for (int i = 0; i < 100; ++i) {
    Changes changes;
    changes.put(Family::index, "n", std::to_string(i));
    changes.put(Family::meta, "n", std::to_string(i));
    ASSERT_TRUE(db->write(changes));
    if (i == 50) {
      ASSERT_TRUE(db->flush());
    }
  }
  const auto later = after_a_kill(directory, copy);
  EXPECT_EQ(**later->get(Family::index, "n"), "50");
  EXPECT_EQ(**later->get(Family::meta, "n"), "50");
}

TEST(DbCache, ADatabaseThatHadAWriteAheadLogIsTakenOver) {
  TemporaryDirectory directory;
  put(*open(directory, false), Family::parked, "a", "1");
  EXPECT_EQ(**open(directory)->get(Family::parked, "a"), "1");
}

TEST(DbLoad, ManyPutAndEraseWhatWasThereAndAreThereAfterAKill) {
  constexpr int entries = 30'000;
  const auto key = [](int i) { return "key-" + std::to_string(100'000 + i); };
  TemporaryDirectory directory, copy;
  const auto before = open(directory);
  put(*before, Family::index, key(1), "old");
  put(*before, Family::index, key(2), "old");
  std::vector<std::string> keys;
  for (int i = 0; i < entries; ++i) keys.push_back(key(i));
  std::vector<KeyValue::Entry> sorted;
  for (int i = 0; i < entries; ++i)
    sorted.push_back(
        {keys[static_cast<std::size_t>(i)], i % 2 ? std::optional<std::string_view>("new") : std::nullopt});
  ASSERT_TRUE(before->load(Family::index, sorted));
  EXPECT_EQ(**before->get(Family::index, key(1)), "new");
  // Over it, a second time, fewer than make a file.
  const std::vector<KeyValue::Entry> few{{keys[3], std::string_view("newer")}, {keys[5], std::nullopt}};
  ASSERT_TRUE(before->load(Family::index, few));
  ASSERT_TRUE(before->flush());
  const auto db = after_a_kill(directory, copy);
  EXPECT_EQ(**db->get(Family::index, key(1)), "new");
  EXPECT_FALSE(*db->get(Family::index, key(2)));
  EXPECT_EQ(**db->get(Family::index, key(3)), "newer");
  EXPECT_FALSE(*db->get(Family::index, key(5)));
  int count = 0;
  ASSERT_TRUE(db->scan(Family::index, "", "", [&](std::string_view, std::string_view) { return ++count, true; }));
  EXPECT_EQ(count, entries / 2 - 1);
}

}  // namespace
}  // namespace assay
