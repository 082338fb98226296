// How many feedbacks a second does one step of a worker decide and commit, in batches of 32, 256 and 1024, on the
// embedded log? Beside it: the floor of the library, one RocksDB write of as many outputs.
#include <benchmark/benchmark.h>

#include <boost/asio/co_spawn.hpp>

#include "ops/runtime/ids.hpp"
#include "storage/db/db.hpp"
#include "storage/log/embedded_log.hpp"
#include "storage/records/request_record.hpp"
#include "tests/support/temporary_directory.hpp"
#include "workers/partition_loop.hpp"

namespace assay {
namespace {

constexpr int traces = 10'000;

Record feedback(int i) {
  const SystemClock clock;
  FeedbackRecord record{.target = {Target::Kind::client_request_id, "req-" + std::to_string(i % traces)},
                        .accepted_at = clock.now()};
  FeedbackItem item{.assessment_id = random_id(assessment_prefix)};
  item.record_id = item.assessment_id;
  item.json =
      R"({"assessment_id":")" + item.assessment_id +
      R"(","assessment_name":"user_feedback","source":{"source_type":"HUMAN","source_id":"u-17"},"feedback":{"value":true},"valid":true})";
  record.items.push_back(std::move(item));
  return to_record(record);
}

struct Fixture {
  TemporaryDirectory directory;
  Metrics metrics;
  SystemClock clock;
  std::unique_ptr<Db> db = std::move(*Db::open({.directory = directory.path()}));
  std::unique_ptr<EmbeddedLog> log =
      std::move(*EmbeddedLog::open(*db, directory.path(), {.disk_reserve_bytes = 0}, metrics));

  void append(std::vector<Record> records) {
    IoContext io(1);
    auto all = [&]() -> Task<void> { co_await log->append_all(std::move(records)); };
    asio::co_spawn(io, std::move(all), [](std::exception_ptr) {});
    io.run();
  }
};

void resolve_and_commit(benchmark::State& state) {
  Fixture f;
  std::vector<Record> requests;
  for (int i = 0; i < traces; ++i)
    for (auto& record : request_records("tr-" + std::to_string(i), "req-" + std::to_string(i), f.clock.now()))
      requests.push_back(std::move(record));
  f.append(std::move(requests));
  PartitionLoopConfig config{.records_max = static_cast<std::size_t>(state.range(0))};
  const auto open = [&f]() -> Result<OpenedPartition> { return OpenedPartition{f.log->committer(), {}}; };
  PartitionLoop loop(config, *f.log, *f.db, open, f.clock, f.metrics, nullptr);
  using namespace std::chrono_literals;
  while (loop.run_once(0ms) && !loop.caught_up()) {
  }
  int sent = 0;
  for (auto _ : state) {
    state.PauseTiming();
    std::vector<Record> batch;
    for (int i = 0; i < state.range(0); ++i) batch.push_back(feedback(sent++));
    f.append(std::move(batch));
    state.ResumeTiming();
    const auto ran = loop.run_once(0ms);
    if (!ran) state.SkipWithError("step failed");
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(resolve_and_commit)->Arg(32)->Arg(256)->Arg(1024)->Unit(benchmark::kMicrosecond);

void one_write_of_the_outputs(benchmark::State& state) {
  Fixture f;
  std::uint64_t n = 0;
  const auto value = *feedback(0).value;
  for (auto _ : state) {
    Changes changes;
    for (int i = 0; i < state.range(0); ++i)
      changes.put(Family::log_assessments, big_endian(std::uint32_t(0)) + big_endian(n++), value);
    if (!f.db->write(changes)) state.SkipWithError("write failed");
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(one_write_of_the_outputs)->Arg(32)->Arg(256)->Arg(1024)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace assay
