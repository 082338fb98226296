#include "workers/restore.hpp"

#include <algorithm>
#include <map>

#include "ops/runtime/log.hpp"
#include "storage/state/parked_state.hpp"

namespace assay {
namespace {

constexpr std::size_t chunk_records = 2000;
constexpr std::chrono::milliseconds one_wait{500};

class Restore {
 public:
  Restore(EventSources& sources, KeyValue& state, Partition partition, const ResolvePolicy& policy,
          std::chrono::milliseconds patience)
      : sources_(sources), state_(state), partition_(partition), policy_(policy), patience_(patience) {}

  Result<void> run(Offset committed) {
    if (auto done = finish_wipe(state_, partition_); !done) return done;
    if (auto loaded = load(); !loaded) return loaded;
    if (meta_.feedback > committed) {
      spdlog::warn("event=state_beyond_log partition={} stored={} committed={} act=\"wipe and rebuild\"", partition_,
                   meta_.feedback, committed);
      if (auto wiped = wipe(state_, partition_); !wiped) return wiped;
      if (auto loaded = load(); !loaded) return loaded;
    }
    auto restored = streams(committed);
    if (!restored && restored.error() == Error::corrupt && meta_ != Meta{}) {  // positions of another log
      spdlog::warn("event=state_of_another_log partition={} act=\"wipe and rebuild\"", partition_);
      if (auto wiped = wipe(state_, partition_); !wiped) return wiped;
      if (auto loaded = load(); !loaded) return loaded;
      restored = streams(committed);
    }
    if (!restored) return restored;
    return settle(committed);
  }

 private:
  Result<void> load() {
    auto meta = load_meta(state_, partition_);
    if (!meta) return meta.error();
    meta_ = *meta;
    cold_ = meta_ == Meta{};
    return {};
  }

  Result<void> streams(Offset committed) {
    const auto to_end = [](EventSource& source, StreamPartition where) { return source.end(where); };
    const auto to_committed = [committed](EventSource&, StreamPartition) { return Result<Offset>(committed); };
    if (auto r = follow(Stream::parked, meta_.parked, to_end, &Restore::apply_parked); !r) return r;
    if (auto r = follow(Stream::requests, meta_.requests, to_end, &Restore::apply_requests); !r) return r;
    return follow(Stream::feedback, meta_.feedback, to_committed, &Restore::apply_feedback);
  }

  using Apply = Result<void> (Restore::*)(std::span<const LogRecord>, Changes&);

  // Reads one stream from `position`, a member of meta_, to its end, a write for each chunk.
  template <class End>
  Result<void> follow(Stream stream, Offset& position, End find_end, Apply apply) {
    const StreamPartition where{stream, partition_};
    auto source = sources_.open({{where, position}});
    if (!source) return source.error();
    const auto end = find_end(**source, where);
    if (!end) return end.error();
    auto idle = std::chrono::milliseconds(0);
    while ((*source)->position(where) < *end) {
      const auto records = (*source)->read(chunk_records, one_wait);
      if (!records) return records.error();
      auto upto = *records;
      while (!upto.empty() && upto.back().offset >= *end) upto = upto.first(upto.size() - 1);
      if (upto.empty()) {
        if ((*source)->position(where) >= *end) break;  // nothing was left but ends of transactions
        if ((idle += one_wait) > patience_) return Error::timed_out;
        continue;
      }
      idle = {};
      const auto before = meta_;
      Changes changes;
      if (auto applied = (this->*apply)(upto, changes); !applied) return applied;
      position = upto.back().offset + 1;
      save_meta(changes, partition_, meta_, before);
      if (auto written = state_.write(changes); !written) return written;
    }
    if (position < *end) {
      const auto before = meta_;
      position = *end;
      Changes changes;
      save_meta(changes, partition_, meta_, before);
      return state_.write(changes);
    }
    return {};
  }

  Result<void> apply_parked(std::span<const LogRecord> records, Changes& changes) {
    std::vector<std::string> ids;
    for (const auto& record : records) ids.emplace_back(record.key);
    const auto found = find_parked(state_, partition_, ids);
    if (!found) return found.error();
    std::map<std::string, std::optional<ParkedRecord>, std::less<>> known;
    for (std::size_t i = 0; i < ids.size(); ++i) known.try_emplace(ids[i], (*found)[i]);
    for (const auto& record : records) {
      auto& parked = known.find(record.key)->second;
      if (parked) unpark(changes, partition_, *parked);
      parked.reset();
      if (record.tombstone) continue;
      auto parsed = parse_parked_record(record.value);
      if (!parsed) {
        spdlog::error("event=changelog_unreadable partition={} offset={} problem=\"{}\"", partition_, record.offset,
                      parsed.error().reason);
        continue;
      }
      parked = std::move(*parsed);
      park(changes, partition_, *parked);
    }
    return {};
  }

  Result<void> apply_requests(std::span<const LogRecord> records, Changes& changes) {
    for (const auto& record : records) {
      if (record.tombstone)
        erase_trace(changes, partition_, record.key);
      else if (!record.value.empty())
        put_trace(changes, partition_, record.key, record.value);
    }
    return {};
  }

  Result<void> apply_feedback(std::span<const LogRecord> records, Changes& changes) {
    std::vector<Result<FeedbackRecord, Malformed>> parsed;
    std::vector<std::string> ids;
    for (const auto& record : records) {
      parsed.push_back(parse_feedback_record(record.value));
      if (parsed.back())
        for (const auto& item : parsed.back()->items) ids.push_back(item.record_id);
    }
    const auto found = find_seen(state_, partition_, ids);
    if (!found) return found.error();
    std::map<std::string, std::optional<Seen>, std::less<>> known;
    for (std::size_t i = 0; i < ids.size(); ++i) known.try_emplace(ids[i], (*found)[i]);
    auto& ledger = meta_.ledger;
    for (std::size_t i = 0; i < records.size(); ++i) {
      const auto offset = records[i].offset;
      if (!parsed[i] || (parsed[i]->op != Op::create && parsed[i]->items.size() != 1)) {
        if (!cold_) ++ledger.logged, ++ledger.dead;
        continue;
      }
      const auto& feedback = *parsed[i];
      meta_.accepted_max = std::max(meta_.accepted_max, feedback.accepted_at);
      const auto repeats = [&](const std::optional<Seen>& seen) {
        return seen && is_repeat(*seen, offset, meta_.accepted_max, policy_.dedupe_window);
      };
      const bool conflict = std::ranges::any_of(feedback.items, [&](const FeedbackItem& item) {
        const auto& seen = known.find(item.record_id)->second;
        return repeats(seen) && seen->body_hash != feedback.body_hash;
      });
      for (const auto& item : feedback.items) {
        auto& seen = known.find(item.record_id)->second;
        if (!cold_) ++ledger.logged;
        if (!cold_ && conflict)
          ++ledger.dead;
        else if (!cold_ && repeats(seen))
          ++ledger.duplicate;
        if (!takes_entry(seen, offset, meta_.accepted_max, policy_.dedupe_window)) continue;
        seen = Seen{offset, feedback.body_hash, feedback.accepted_at};
        changes.put(Family::seen, seen_key(partition_, item.record_id), encode_seen(*seen));
      }
    }
    return {};
  }

  Result<void> settle(Offset committed) {
    const auto parked = count_parked(state_, partition_);
    if (!parked) return parked.error();
    const auto before = meta_;
    auto& ledger = meta_.ledger;
    ledger.parked = *parked;
    ledger.logged = std::max(ledger.logged, ledger.duplicate + ledger.dead + ledger.parked);
    ledger.forwarded = ledger.logged - ledger.duplicate - ledger.dead - ledger.parked;
    meta_.feedback = committed;
    Changes changes;
    save_meta(changes, partition_, meta_, before);
    return changes.empty() ? Result<void>() : state_.write(changes);
  }

  EventSources& sources_;
  KeyValue& state_;
  const Partition partition_;
  const ResolvePolicy& policy_;
  const std::chrono::milliseconds patience_;
  Meta meta_;
  bool cold_ = false;
};

}  // namespace

Result<void> restore(EventSources& sources, KeyValue& state, Partition partition, Offset committed,
                     const ResolvePolicy& policy, std::chrono::milliseconds patience) {
  return Restore(sources, state, partition, policy, patience).run(committed);
}

}  // namespace assay
