#include "ops/cli/view_ages.hpp"

#include "storage/state/partition_state.hpp"
#include "storage/store/keys.hpp"

namespace assay::cli {

Instant ViewCutoffs::told_since() const {
  return ages_.request_retention.count() == 0 ? Instant::min() : clock_.now() - ages_.request_retention;
}

void ViewCutoffs::all_seen(Instant at) { all_seen_ms_ = at.time_since_epoch().count(); }

bool ViewCutoffs::may_go(Family family, std::string_view key, std::string_view value) const {
  if (family == Family::index) return index_may_go(value, told_since());
  if (family != Family::traces || !drops_tombstones()) return false;
  const Instant all_seen{std::chrono::milliseconds(all_seen_ms_.load())};
  const auto held = ages_.request_retention + std::chrono::hours(24);
  return all_seen > Instant() && store_keys::tombstone_may_go(key, value, all_seen - held);
}

}  // namespace assay::cli
