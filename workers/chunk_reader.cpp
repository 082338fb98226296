#include "workers/chunk_reader.hpp"

#include <algorithm>

namespace assay {
namespace {

constexpr std::size_t chunk_records = 4000;
constexpr std::chrono::milliseconds one_wait{500};

}  // namespace

Result<void> ChunkReader::read(EventSource& source, StreamPartition where, Offset end, const Take& take) {
  auto idle = std::chrono::milliseconds(0);
  while (source.position(where) < end) {
    if (stopped_) return Error::stopped;
    const auto room = std::min<Offset>(chunk_records, end - source.position(where));
    const auto before = source.position(where);
    const auto records = source.read_from(where, static_cast<std::size_t>(room));
    if (!records) return records.error();
    auto upto = *records;
    while (!upto.empty() && upto.back().offset >= end) upto = upto.first(upto.size() - 1);
    if (!upto.empty()) {
      records_ += static_cast<std::int64_t>(upto.size());
      if (auto taken = take(upto); !taken) return taken;
    }
    if (source.position(where) != before) {
      idle = {};
      continue;
    }
    const auto began = std::chrono::steady_clock::now();
    source.await(where, one_wait);
    idle += std::max(std::chrono::milliseconds(1),
                     std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began));
    if (idle > patience_) return Error::timed_out;
  }
  return {};
}

}  // namespace assay
