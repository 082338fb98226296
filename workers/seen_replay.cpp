#include "workers/seen_replay.hpp"

#include <algorithm>

#include "storage/state/state_keys.hpp"

namespace assay {
namespace {

constexpr std::size_t run_bytes = 4u << 20;
constexpr std::size_t fresh_max = 100'000;

}  // namespace

SeenReplay::SeenReplay(KeyValue& state, Partition partition, const ResolvePolicy& policy)
    : state_(state), partition_(partition), policy_(policy), run_(state, Family::seen, run_bytes) {}

Result<void> SeenReplay::take(std::span<const LogRecord> records, Meta& meta, bool counts) {
  const auto parsed = parse(records);
  if (!parsed) return parsed.error();
  for (std::size_t i = 0; i < records.size(); ++i) {
    const auto& feedback = (*parsed)[i];
    if (feedback && (feedback->op == Op::create || feedback->items.size() == 1))
      take(*feedback, records[i].offset, meta, counts);
    else if (counts)
      ++meta.ledger.logged, ++meta.ledger.dead;
  }
  meta.feedback = records.back().offset + 1;
  return {};
}

// And the entries of their ids: of this run, or of the state.
Result<std::vector<SeenReplay::Parsed>> SeenReplay::parse(std::span<const LogRecord> records) {
  std::vector<Parsed> parsed;
  std::vector<std::string> ids;
  for (const auto& record : records) {
    parsed.push_back(read_feedback(record, policy_));
    if (!parsed.back()) continue;
    for (const auto& item : parsed.back()->items)
      if (fresh_.try_emplace(item.record_id).second) ids.push_back(item.record_id);
  }
  const auto found = find_seen(state_, partition_, ids);
  if (!found) return found.error();
  for (std::size_t i = 0; i < ids.size(); ++i) fresh_[ids[i]] = (*found)[i];
  return parsed;
}

void SeenReplay::take(const FeedbackRecord& feedback, Offset offset, Meta& meta, bool counts) {
  auto& ledger = meta.ledger;
  meta.accepted_max = std::max(meta.accepted_max, feedback.logged_at());
  const auto repeats = [&](const std::optional<Seen>& seen) {
    return seen && is_repeat(*seen, offset, meta.accepted_max, policy_.dedupe_window);
  };
  const bool conflict = std::ranges::any_of(feedback.items, [&](const FeedbackItem& item) {
    const auto& seen = fresh_.find(item.record_id)->second;
    return repeats(seen) && seen->body_hash != feedback.body_hash;
  });
  for (const auto& item : feedback.items) {
    auto& seen = fresh_.find(item.record_id)->second;
    if (counts) {
      ++ledger.logged;
      ledger.dead += conflict;
      ledger.duplicate += !conflict && repeats(seen);
    }
    if (!takes_entry(seen, offset, meta.accepted_max, policy_.dedupe_window)) continue;
    seen = Seen{offset, feedback.body_hash, feedback.logged_at()};
    run_.add(seen_key(partition_, item.record_id), encode_seen(*seen));
  }
}

bool SeenReplay::full() const { return run_.full() || fresh_.size() >= fresh_max; }

Result<void> SeenReplay::flush() {
  if (auto flushed = run_.flush(); !flushed) return flushed;
  fresh_.clear();
  return {};
}

void SeenReplay::drop() {
  run_.drop();
  fresh_.clear();
}

}  // namespace assay
