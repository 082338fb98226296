// How many records a second does the embedded log take from 1, 16 and 256 waiters, and what do RocksDB and the disk
// allow?
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <rocksdb/db.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>

#include "storage/db/db.hpp"
#include "storage/log/embedded_log.hpp"
#include "tests/support/temporary_directory.hpp"

namespace assay {
namespace {

constexpr std::size_t record_bytes = 360;  // a feedback record with a comment

Record feedback(int i) {
  return {.stream = Stream::feedback, .key = "req-" + std::to_string(i), .value = std::string(record_bytes, 'x')};
}

void embedded_log_append(benchmark::State& state) {
  const auto waiters = static_cast<int>(state.range(0));
  TemporaryDirectory directory;
  Metrics metrics;
  auto db = Db::open({.directory = directory.path()});
  auto log = EmbeddedLog::open(**db, directory.path(), {.disk_reserve_bytes = 0}, metrics);
  IoContext io(1);
  std::int64_t appended = 0;
  bool stop = false;
  auto waiter = [&]() -> Task<void> {
    while (!stop) {
      auto record = feedback(static_cast<int>(appended));
      const auto result = co_await (*log)->append(std::move(record));
      if (!result) state.SkipWithError("append failed");
      ++appended;
    }
  };
  for (int i = 0; i < waiters; ++i) asio::co_spawn(io, waiter, [](std::exception_ptr) {});
  for (auto _ : state) {
    const auto until = appended + waiters;  // a round: as many as wait
    while (appended < until) io.run_one();
  }
  stop = true;
  io.run();
  state.SetItemsProcessed(appended);
}
BENCHMARK(embedded_log_append)->Arg(1)->Arg(16)->Arg(256)->UseRealTime()->Unit(benchmark::kMicrosecond);

// The floor of the library: one WriteBatch of as many records and one sync, no waiting, no hand-over.
void rocksdb_write_batch_and_sync(benchmark::State& state) {
  TemporaryDirectory directory;
  rocksdb::Options options;
  options.create_if_missing = true;
  rocksdb::DB* raw = nullptr;
  if (!rocksdb::DB::Open(options, directory.path(), &raw).ok()) return state.SkipWithError("open");
  std::unique_ptr<rocksdb::DB> db(raw);
  rocksdb::WriteOptions sync;
  sync.sync = true;
  std::int64_t written = 0;
  const std::string value(record_bytes, 'x');
  for (auto _ : state) {
    rocksdb::WriteBatch batch;
    for (int i = 0; i < state.range(0); ++i) batch.Put("key-" + std::to_string(written++), value);
    if (!db->Write(sync, &batch).ok()) state.SkipWithError("write");
  }
  state.SetItemsProcessed(written);
}
BENCHMARK(rocksdb_write_batch_and_sync)->Arg(1)->Arg(16)->Arg(256)->UseRealTime()->Unit(benchmark::kMicrosecond);

// The floor of the disk: the same bytes appended to a file, and fdatasync.
void file_append_and_fdatasync(benchmark::State& state) {
  TemporaryDirectory directory;
  const int fd = ::open((directory.path() + "/log").c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
  const std::string bytes(record_bytes * static_cast<std::size_t>(state.range(0)), 'x');
  for (auto _ : state)
    if (::write(fd, bytes.data(), bytes.size()) < 0 || ::fdatasync(fd) != 0) state.SkipWithError("fdatasync");
  ::close(fd);
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(file_append_and_fdatasync)->Arg(1)->Arg(16)->Arg(256)->UseRealTime()->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace assay
