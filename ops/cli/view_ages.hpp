#pragma once
// How long a front door's view keeps what it follows, and what the compaction of its database may drop then.
#include <atomic>
#include <limits>

#include "ops/runtime/clock.hpp"
#include "storage/state/key_value.hpp"

namespace assay::cli {

struct ViewAges {
  std::chrono::milliseconds retention{0};  // of a trace and what was said of it; 0: for ever
  // Of an id, after it was told last: the workers', or what they have forgotten would be answered as known. 0: for
  // ever.
  std::chrono::milliseconds request_retention = std::chrono::days(30);
};

// Thread-safe.
class ViewCutoffs {
 public:
  ViewCutoffs(const ViewAges& ages, const Clock& clock) : ages_(ages), clock_(clock) {}

  // Ids that were told before this count as unknown.
  Instant told_since() const;
  // What stood in the log then has been decided by the workers and applied here.
  void all_seen(Instant at);
  // Whether the cutoffs need to be told of that.
  bool drops_tombstones() const { return ages_.retention.count() > 0 && ages_.request_retention.count() > 0; }

  // For a compaction filter. An id that counts as unknown may go. The tombstone of a deleted trace may a day after the
  // ids that lead to it: so long, nothing that is late can come to it, from the log, from a spool or from the parked.
  bool may_go(Family family, std::string_view key, std::string_view value) const;

 private:
  const ViewAges& ages_;
  const Clock& clock_;
  std::atomic<std::int64_t> all_seen_ms_{std::numeric_limits<std::int64_t>::min()};  // not known
};

}  // namespace assay::cli
