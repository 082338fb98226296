// How fast are ids looked up in an index of 10 thousand, 1 million and 10 million, in batches of 32 and 256?
#include <benchmark/benchmark.h>
#include <rocksdb/db.h>

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
BENCHMARK(index_multi_get)->ArgsProduct({{10'000, 1'000'000, 10'000'000}, {32, 256}});

void index_miss(benchmark::State& state) {
  auto& db = index_of(10'000);
  std::vector<std::string> keys(256);
  for (std::size_t i = 0; i < keys.size(); ++i)
    keys[i] = big_endian(std::uint32_t(0)) + "req-absent-" + std::to_string(i);
  for (auto _ : state) benchmark::DoNotOptimize(db.multi_get(Family::index, keys));
  state.SetItemsProcessed(state.iterations() * 256);
}
BENCHMARK(index_miss);

}  // namespace
}  // namespace assay
