// bench_fill_ids DIRECTORY COUNT RUN: a data directory for `assay serve` whose index knows COUNT ids, half of them
// client_request_ids and half trace_ids, those of `assay load --run RUN --traces COUNT/2 --no-traces`. They are put
// where the resolver would have put them: sending them through the front door takes a quarter of an hour.
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "bench/load/load.hpp"
#include "storage/db/data_directory.hpp"
#include "storage/db/db.hpp"
#include "storage/state/partition_state.hpp"

int main(int argc, char** argv) {
  using namespace assay;
  if (argc != 4) {
    std::fprintf(stderr, "usage: bench_fill_ids DIRECTORY COUNT RUN\n");
    return 2;
  }
  const std::uint64_t traces = std::strtoull(argv[2], nullptr, 10) / 2;
  const std::string run = argv[3];
  auto directory = DataDirectory::open(argv[1]);
  if (!directory) {
    std::fprintf(stderr, "%s\n", directory.error().c_str());
    return 1;
  }
  auto db = Db::open({.directory = directory->database()});
  if (!db) {
    std::fprintf(stderr, "%s\n", db.error().c_str());
    return 1;
  }
  constexpr std::uint64_t at_once = 5000;
  for (std::uint64_t from = 0; from < traces; from += at_once) {
    Changes changes;
    for (auto n = from; n < std::min(traces, from + at_once); ++n) {
      const auto trace = load::trace_id(run, n);
      put_trace(changes, 0, load::request_id(run, n), trace);
      put_trace(changes, 0, trace, trace);
    }
    if (!(*db)->write(changes)) return 1;
  }
  return (*db)->flush() ? 0 : 1;
}
