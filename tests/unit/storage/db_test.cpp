#include "storage/db/db.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "storage/state/memory_key_value.hpp"
#include "tests/support/temporary_directory.hpp"

namespace assay {
namespace {

// A write is put into the order of its keys before the database gets it: see ordered() in db.cpp.
TEST(Db, OfALargeWriteTheLastChangeOfAKeyWins) {
  TemporaryDirectory directory;
  auto db = Db::open({.directory = directory.path() + "/db"});
  ASSERT_TRUE(db) << db.error();
  Changes changes;
  for (int round = 0; round < 10; ++round)
    for (int i = 20; i-- > 0;) {
      const auto key = "k" + std::to_string(i);
      if ((i + round) % 2 == 0)
        changes.put(Family::index, key, std::to_string(round));
      else
        changes.erase(Family::index, key);
      changes.put(Family::seen, key, "seen " + std::to_string(round));
    }
  ASSERT_TRUE((*db)->write(changes));
  for (int i = 0; i < 20; ++i) {
    const auto key = "k" + std::to_string(i);
    EXPECT_EQ(*(*db)->get(Family::index, key), i % 2 ? std::optional<std::string>("9") : std::nullopt) << key;
    EXPECT_EQ(*(*db)->get(Family::seen, key), "seen 9");
  }
}

TEST(Db, OneKeyAndManyAreReadAlike) {
  TemporaryDirectory directory;
  auto db = Db::open({.directory = directory.path() + "/db"});
  ASSERT_TRUE(db) << db.error();
  Changes changes;
  changes.put(Family::index, "here", "value");
  ASSERT_TRUE((*db)->write(changes));
  using Values = std::vector<std::optional<std::string>>;
  const std::vector<std::string> here{"here"}, absent{"absent"}, all{"absent", "here", "here"};
  EXPECT_EQ(*(*db)->multi_get(Family::index, here), (Values{"value"}));
  EXPECT_EQ(*(*db)->multi_get(Family::index, absent), (Values{std::nullopt}));
  EXPECT_EQ(*(*db)->multi_get(Family::index, all), (Values{std::nullopt, "value", "value"}));
  EXPECT_EQ(*(*db)->multi_get(Family::index, {}), Values{});
}

TEST(Db, ManyKeysAreFoundOneByOneInTheirOrder) {
  TemporaryDirectory directory;
  auto db = Db::open({.directory = directory.path() + "/db"});
  ASSERT_TRUE(db) << db.error();
  Changes changes;
  std::vector<std::string> keys;
  std::string expected;
  for (int i = 30; i-- > 0;) {
    keys.push_back(std::to_string(i));
    if (i % 3 == 0) continue;
    changes.put(Family::traces, keys.back(), "value " + keys.back());
    expected += std::to_string(keys.size() - 1) + ":value " + keys.back() + "\n";
  }
  ASSERT_TRUE((*db)->write(changes));
  MemoryKeyValue memory;
  ASSERT_TRUE(memory.write(changes));
  for (const KeyValue* kv : {static_cast<const KeyValue*>(db->get()), static_cast<const KeyValue*>(&memory)}) {
    std::string found;
    ASSERT_TRUE(kv->each_of(Family::traces, keys, [&](std::size_t i, std::string_view value) -> Result<void> {
      found += std::to_string(i) + ":" + std::string(value) + "\n";
      return {};
    }));
    EXPECT_EQ(found, expected);
    int seen = 0;
    const auto stopped = kv->each_of(Family::traces, keys, [&](std::size_t, std::string_view) -> Result<void> {
      return ++seen == 10 ? Result<void>(make_error_code(Error::corrupt)) : Result<void>();
    });
    EXPECT_FALSE(stopped);
    EXPECT_EQ(seen, 10);
  }
}

// What empty memtables take must leave room in the budget: over it every write would make files of all that is there.
TEST(Db, ManyDatabasesOfOneBudgetDoNotMakeAFileOfEveryWrite) {
  TemporaryDirectory directory;
  const auto memory = DbMemory::with(8u << 20, 64u << 20);
  std::vector<std::unique_ptr<Db>> all;
  for (int i = 0; i < 13; ++i) {  // a worker's own and twelve partitions
    auto db = Db::open({.directory = directory.path() + "/" + std::to_string(i), .memory = memory, .cache = true});
    ASSERT_TRUE(db) << db.error();
    all.push_back(std::move(*db));
  }
  for (int round = 0; round < 20; ++round)
    for (auto& db : all) {
      Changes changes;
      for (const auto family : {Family::index, Family::seen, Family::parked, Family::meta})
        changes.put(family, "k" + std::to_string(round), "v");
      ASSERT_TRUE(db->write(changes));
    }
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory.path()))
    files += entry.path().extension() == ".sst";
  EXPECT_EQ(files, 0u);
}

}  // namespace
}  // namespace assay
