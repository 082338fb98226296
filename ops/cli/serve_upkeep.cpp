#include "ops/cli/serve_upkeep.hpp"

#include <algorithm>
#include <utility>

#include "storage/state/partition_state.hpp"
#include "storage/state/seen.hpp"
#include "storage/store/keys.hpp"

namespace assay::cli {

void ServeCutoffs::look(Instant now, Instant all_seen) {
  seen_ = now - policy_.dedupe_window;
  if (policy_.request_retention.count() == 0) return;  // ids for ever, and tombstones
  told_ = told_since(policy_, now);
  const auto held = std::max(log_retention_ + policy_.park_max, policy_.request_retention);
  deleted_ = all_seen - held - std::chrono::hours(24);
}

bool ServeCutoffs::may_go(Family family, std::string_view key, std::string_view value) const {
  if (family == Family::index) return index_may_go(value, told_);
  if (family == Family::traces) return store_keys::tombstone_may_go(key, value, deleted_);
  return family == Family::seen && seen_may_go(value, seen_);
}

Offset LogFollowers::passed(StreamPartition where) const {
  if (where.stream == Stream::feedback || where.stream == Stream::requests)
    return progress.reached(Follower::resolver, where);
  const auto by_store = store.applied(where);
  if (!mlflow || where.stream == Stream::deadletters) return by_store;
  return std::min(by_store, mlflow->applied(where));
}

Instant CaughtUp::look(Instant now) {
  for (const auto& [where, end] : ends_)
    if (followers_.passed(where) < end) return since_;
  since_ = std::exchange(looked_, now);
  for (const auto stream : {Stream::feedback, Stream::assessments, Stream::traces})
    for (Partition p = 0; p < log_.partitions(stream); ++p) ends_[{stream, p}] = log_.end({stream, p});
  return since_;
}

void ServeUpkeep::look() {
  const auto now = clock_.now();
  cutoffs_.look(now, caught_up_.look(now));
  log_.trim(now, log_retention_, [this](StreamPartition where) { return followers_.passed(where); });
}

}  // namespace assay::cli
