// How fast are ids looked up in an index of 10 thousand, 1 million and 10 million, in batches of 32 and 256, beside
// RocksDB as it comes?
#include <benchmark/benchmark.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>

#include <random>

#include "ops/runtime/ids.hpp"
#include "storage/db/db.hpp"
#include "tests/support/temporary_directory.hpp"

namespace assay {
namespace {

std::string key_of(std::uint64_t n) { return big_endian(std::uint32_t(0)) + derived_id("req-", {std::to_string(n)}); }

// One database, filled up to what the benchmark at hand needs.
Db& index_of(std::uint64_t ids) {
  static TemporaryDirectory directory;
  static auto db = [] { return std::move(*Db::open({.directory = directory.path()})); }();
  static std::uint64_t filled = 0;
  while (filled < ids) {
    Changes changes;
    for (int i = 0; i < 1000 && filled < ids; ++i, ++filled)
      changes.put(Family::index, key_of(filled), derived_id("tr-", {std::to_string(filled)}));
    (void)db->write(changes);
  }
  (void)db->flush();
  return *db;
}

// Before the others have filled the database further.
void index_miss(benchmark::State& state) {
  auto& db = index_of(10'000);
  std::vector<std::string> keys(256);
  for (std::size_t i = 0; i < keys.size(); ++i)
    keys[i] = big_endian(std::uint32_t(0)) + "req-absent-" + std::to_string(i);
  for (auto _ : state) benchmark::DoNotOptimize(db.multi_get(Family::index, keys));
  state.SetItemsProcessed(state.iterations() * 256);
}

void index_multi_get(benchmark::State& state) {
  const auto ids = static_cast<std::uint64_t>(state.range(0));
  auto& db = index_of(ids);
  std::mt19937_64 random(7);
  std::vector<std::string> keys(static_cast<std::size_t>(state.range(1)));
  for (auto _ : state) {
    state.PauseTiming();
    for (auto& key : keys) key = key_of(random() % ids);
    state.ResumeTiming();
    const auto found = db.multi_get(Family::index, keys);
    if (!found || !found->front()) state.SkipWithError("an id is missing");
  }
  state.SetItemsProcessed(state.iterations() * state.range(1));
}

// The floor: the same keys and values in a database of RocksDB's with its own settings but for a bloom filter, asked
// through its own interface.
rocksdb::DB& plain_index_of(std::uint64_t ids) {
  static TemporaryDirectory directory;
  static std::unique_ptr<rocksdb::DB> db = [] {
    rocksdb::Options options;
    options.create_if_missing = true;
    rocksdb::BlockBasedTableOptions table;
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    rocksdb::DB* opened = nullptr;
    if (!rocksdb::DB::Open(options, directory.path(), &opened).ok()) std::abort();
    return std::unique_ptr<rocksdb::DB>(opened);
  }();
  static std::uint64_t filled = 0;
  while (filled < ids) {
    rocksdb::WriteBatch batch;
    for (int i = 0; i < 1000 && filled < ids; ++i, ++filled)
      (void)batch.Put(key_of(filled), derived_id("tr-", {std::to_string(filled)}));
    (void)db->Write({}, &batch);
  }
  (void)db->Flush({});
  return *db;
}

void rocksdb_multi_get(benchmark::State& state) {
  const auto ids = static_cast<std::uint64_t>(state.range(0));
  auto& db = plain_index_of(ids);
  std::mt19937_64 random(7);
  const auto count = static_cast<std::size_t>(state.range(1));
  std::vector<std::string> keys(count);
  std::vector<rocksdb::Slice> slices(count);
  std::vector<rocksdb::PinnableSlice> values(count);
  std::vector<rocksdb::Status> statuses(count);
  for (auto _ : state) {
    state.PauseTiming();
    for (std::size_t i = 0; i < count; ++i) {
      keys[i] = key_of(random() % ids);
      slices[i] = keys[i];
      values[i].Reset();
    }
    state.ResumeTiming();
    db.MultiGet({}, db.DefaultColumnFamily(), count, slices.data(), values.data(), statuses.data());
    if (!statuses.front().ok()) state.SkipWithError("an id is missing");
  }
  state.SetItemsProcessed(state.iterations() * state.range(1));
}

BENCHMARK(index_miss);
BENCHMARK(index_multi_get)->ArgsProduct({{10'000, 1'000'000, 10'000'000}, {32, 256}});
BENCHMARK(rocksdb_multi_get)->ArgsProduct({{10'000, 1'000'000, 10'000'000}, {32, 256}});

}  // namespace
}  // namespace assay
