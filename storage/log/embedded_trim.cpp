#include "ops/runtime/log.hpp"
#include "storage/log/embedded_format.hpp"
#include "storage/log/embedded_log.hpp"

namespace assay {
namespace {

std::uint64_t millis(Instant at) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, at.time_since_epoch().count()));
}

}  // namespace

// A mark says how far a stream had come at a time. What the newest mark older than `retention` covers, and every
// consumer has passed, is forgotten: first the new first offset is on disk, and with it, in the same WAL, the positions
// of those who have passed; then files are dropped. A crash between the two leaves bytes that nobody reads and the next
// trim drops.
void EmbeddedLog::trim(Instant now, std::chrono::milliseconds retention,
                       const std::function<Offset(StreamPartition)>& passed) {
  for (const auto stream : all_streams) {
    const auto family = embedded::family_of(stream);
    if (!family || stream == Stream::catalog) continue;  // small, and kept whole
    for (Partition p = 0; p < partitions(stream); ++p) {
      const StreamPartition where{stream, p};
      const auto prefix = embedded::mark_prefix(where);
      Changes changes;
      changes.put(Family::meta, prefix + big_endian(millis(now)), big_endian(static_cast<std::uint64_t>(end(where))));
      Offset covered = 0;
      std::string last;
      const auto scanned = db_.scan(Family::meta, prefix, prefix + big_endian(millis(now - retention) + 1),
                                    [&](std::string_view key, std::string_view value) {
                                      if (!last.empty())
                                        changes.erase(Family::meta, last);  // an older mark has no more to say
                                      last = key;
                                      covered = static_cast<Offset>(read_big_endian64(value));
                                      return true;
                                    });
      const auto first = std::min(covered, passed(where));
      const bool moves = scanned && first > this->first(where);
      if (moves) changes.put(Family::meta, embedded::first_key(where), big_endian(static_cast<std::uint64_t>(first)));
      if (!scanned || !db_.write(changes) || !moves) continue;
      if (!db_.sync()) continue;
      first_[static_cast<std::size_t>(stream)][static_cast<std::size_t>(p)] = first;
      (void)db_.drop_files_below(*family, embedded::key_of(p, 0), embedded::key_of(p, first));
      spdlog::debug("event=trimmed stream={} partition={} first={}", name_of(stream), p, first);
    }
  }
}

Result<void> EmbeddedLog::forget(StreamPartition where, Offset before, Changes more) {
  const auto family = embedded::family_of(where.stream);
  if (!family) return Error::unsupported;
  for (auto offset = first(where); offset < before; ++offset)
    more.erase(*family, embedded::key_of(where.partition, offset));
  more.put(Family::meta, embedded::first_key(where), big_endian(static_cast<std::uint64_t>(before)));
  if (const auto written = db_.write(more); !written) return written;
  if (const auto synced = db_.sync(); !synced) return synced;
  first_[static_cast<std::size_t>(where.stream)][static_cast<std::size_t>(where.partition)] = before;
  return {};
}

}  // namespace assay
