#include "storage/log/read_all.hpp"

#include <algorithm>

#include "ops/runtime/error.hpp"

namespace assay {

Result<void> read_all(EventSources& sources, Stream stream, const VisitRecords& visit,
                      std::chrono::milliseconds patience) {
  constexpr std::size_t records_max = 4096;
  std::vector<StartAt> starts;
  for (Partition p = 0; p < sources.partitions(stream); ++p) starts.push_back({{stream, p}, 0});
  auto source = sources.open(starts);
  if (!source) return source.error();
  std::vector<std::pair<StreamPartition, Offset>> open;
  for (const auto& start : starts) {
    const auto end = (*source)->end(start.from);
    if (!end) return end.error();
    open.emplace_back(start.from, *end);
  }
  auto last_read = std::chrono::steady_clock::now();
  for (;;) {
    error_code failure;
    std::erase_if(open, [&](const auto& one) {
      // Where the end has been reached it leaves out what an open transaction holds back.
      const auto now = (*source)->end(one.first);
      if (!now) failure = now.error();
      return now && (*source)->position(one.first) >= std::min(one.second, *now);
    });
    if (failure) return failure;
    if (open.empty()) return {};
    const auto records = (*source)->read(records_max, std::chrono::milliseconds(100));
    if (!records) return records.error();
    if (!records->empty()) {
      if (const auto visited = visit(*records); !visited) return visited;
      last_read = std::chrono::steady_clock::now();
    } else if (std::chrono::steady_clock::now() - last_read > patience) {
      return Error::timed_out;
    }
  }
}

}  // namespace assay
