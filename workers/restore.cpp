#include "workers/restore.hpp"

#include <algorithm>

#include "ops/runtime/log.hpp"
#include "storage/records/logged_feedback.hpp"
#include "storage/records/request_record.hpp"
#include "storage/state/parked_state.hpp"
#include "storage/state/state_keys.hpp"
#include "workers/same_log.hpp"
#include "workers/seen_replay.hpp"
#include "workers/sorted_load.hpp"

namespace assay {
namespace {

constexpr std::size_t index_run_bytes = 4u << 20;

}  // namespace

// One run(): what it holds while it works.
class Restore::Run {
 public:
  explicit Run(Restore& outer)
      : outer_(outer),
        state_(outer.state_),
        partition_(outer.partition_),
        policy_(outer.policy_),
        chunks_(outer.stopped_, outer.patience_),
        same_log_(outer.sources_, state_, partition_, policy_, chunks_),
        index_(state_, Family::index, index_run_bytes),
        seen_(state_, partition_, policy_) {}

  Result<void> run(Offset committed) {
    if (auto done = finish_wipe(state_, partition_); !done) return done;
    if (auto loaded = load(); !loaded) return loaded;
    if (meta_.feedback > committed) {
      spdlog::warn("event=state_beyond_log partition={} stored={} committed={} act=\"wipe and rebuild\"", partition_,
                   meta_.feedback, committed);
      if (auto wiped = wipe_all(); !wiped) return wiped;
    }
    auto restored = streams(committed);
    if (!restored && restored.error() == Error::corrupt) {  // positions of another log, of one of the streams
      if (auto same = same_log_.check(committed, meta_); !same) return same;
      if (meta_ == Meta{}) return restored;
      spdlog::warn("event=state_of_another_log partition={} act=\"wipe and rebuild\"", partition_);
      if (auto wiped = wipe_all(); !wiped) return wiped;
      restored = streams(committed);
    }
    if (!restored) return restored;
    return settle(committed);
  }

  Result<Offset> decided(Offset committed) {
    if (auto loaded = load(); !loaded) return loaded.error();
    return same_log_.decided(committed, meta_);
  }

  std::int64_t records() const { return chunks_.records(); }

 private:
  Result<void> load() {
    auto meta = load_meta(state_, partition_);
    if (!meta) return meta.error();
    meta_ = saved_ = *meta;
    counts_ = meta_.feedback != 0 || meta_.ledger.logged != 0;
    return {};
  }

  Result<void> wipe_all() {
    index_.drop();
    seen_.drop();
    {
      std::scoped_lock lock(outer_.mutex_);
      outer_.source_.reset();
    }
    outer_.changelog_.reset();
    if (auto wiped = wipe(state_, partition_); !wiped) return wiped;
    return load();
  }

  StreamPartition requests() const { return {Stream::requests, partition_}; }
  StreamPartition feedback() const { return {Stream::feedback, partition_}; }
  StreamPartition changelog() const { return {Stream::parked, partition_}; }

  // What was told before it counts as unknown.
  Instant told_since() const { return assay::told_since(policy_, outer_.clock_.now()); }

  // Both at once: a source takes a while until its first record comes.
  Result<void> open_sources(Offset committed) {
    if (meta_.requests == 0 && policy_.request_retention.count() > 0) {
      const auto first = outer_.sources_.first_since(requests(), told_since());
      if (!first) return first.error();
      meta_.requests = *first;
    }
    const bool empty = meta_.feedback == 0, fresh = !outer_.source_;
    const bool peeks = empty && committed > SameLog::peeked_records;
    const bool looks_back = !empty && fresh;
    auto from = peeks ? committed - SameLog::peeked_records : meta_.feedback;
    if (looks_back) from = std::max<Offset>(0, from - SameLog::peeked_records);
    if (auto opened = open_or_seek(outer_.changelog_, {{changelog(), meta_.parked}}); !opened) return opened;
    if (auto opened = open_or_seek(outer_.source_, {{requests(), meta_.requests}, {feedback(), from}}); !opened)
      return opened;
    if (fresh)  // of one that is kept the end may be some milliseconds old
      if (auto reaches = same_log_.reaches_to(*outer_.source_, committed); !reaches) return reaches;
    if (looks_back) return same_log_.look_back(*outer_.source_, meta_);
    return peeks ? find_window(committed) : Result<void>();
  }

  Result<void> open_or_seek(std::unique_ptr<EventSource>& source, std::vector<StartAt> starts) {
    if (!source) {
      auto opened = outer_.sources_.open(std::move(starts));
      if (!opened) return opened.error();
      std::scoped_lock lock(outer_.mutex_);
      source = std::move(*opened);
      return {};
    }
    for (const auto& start : starts)
      if (source->position(start.from) != start.offset)
        if (auto sought = source->seek(start.from, start.offset); !sought) return sought;
    return {};
  }

  // Where an empty state begins to read the feedback. Of the last records before the committed position the latest
  // accepted_at is at most the partition's largest, where the dedupe window ends; so every entry that may still count
  // was accepted later than that less the window, and none of those stands before the offset of that time.
  Result<void> find_window(Offset committed) {
    if (auto peeked = each_chunk(*outer_.source_, feedback(), committed, &Run::peek); !peeked) return peeked;
    Offset from = 0;
    if (latest_) {
      const auto since = *latest_ - policy_.dedupe_window - clocks_differ;
      const auto first = outer_.sources_.first_since(feedback(), since);
      if (!first) return first.error();
      from = std::min(*first, committed);
    }
    spdlog::info("event=restore_window partition={} from={} committed={}", partition_, from, committed);
    meta_.feedback = from;
    return outer_.source_->seek(feedback(), from);
  }

  Result<void> peek(std::span<const LogRecord> records) {
    for (const auto& record : records)
      if (const auto parsed = parse_logged_feedback(record))
        latest_ = std::max(latest_.value_or(Instant::min()), parsed->logged_at());
    return {};
  }

  Result<void> streams(Offset committed) {
    if (auto opened = open_sources(committed); !opened) return opened;
    const auto changes_end = outer_.changelog_->end(changelog());
    if (!changes_end) return changes_end.error();
    if (auto r = each_chunk(*outer_.changelog_, changelog(), *changes_end, &Run::take_parked); !r) return r;
    const auto requests_end = outer_.source_->end(requests());
    if (!requests_end) return requests_end.error();
    if (auto r = each_chunk(*outer_.source_, requests(), *requests_end, &Run::take_requests); !r) return r;
    if (auto r = each_chunk(*outer_.source_, feedback(), committed, &Run::take_feedback); !r) {
      if (r.error() != Error::timed_out) return r;
      const auto reaches = same_log_.reaches_to(*outer_.source_, committed);
      return reaches ? r : reaches;
    }
    // A chunk never begins at or behind the committed position, but may reach over it where the log has gaps.
    if (outer_.source_->position(feedback()) != committed)
      if (auto sought = outer_.source_->seek(feedback(), committed); !sought) return sought;
    meta_.parked = std::max(meta_.parked, *changes_end);
    meta_.requests = outer_.source_->position(requests());
    if (auto r = flush_index(); !r) return r;
    return flush_seen();
  }

  using Take = Result<void> (Run::*)(std::span<const LogRecord>);
  Result<void> each_chunk(EventSource& source, StreamPartition where, Offset end, Take take) {
    return chunks_.read(source, where, end, [&](std::span<const LogRecord> records) { return (this->*take)(records); });
  }

  // Writes what differs from what was saved, with `changes`.
  Result<void> save(Changes changes, const Meta& upto) {
    save_meta(changes, partition_, upto, saved_);
    if (changes.empty()) return {};
    if (auto written = state_.write(changes); !written) return written;
    saved_ = upto;
    return {};
  }

  Result<void> take_parked(std::span<const LogRecord> records) {
    Changes changes;
    const auto more = replay_parked(state_, partition_, records, changes);
    if (!more) return more.error();
    meta_.parked = records.back().offset + 1;
    meta_.ledger.parked += *more;
    auto meta = saved_;
    meta.parked = meta_.parked;
    meta.ledger.parked = meta_.ledger.parked;
    return save(std::move(changes), meta);
  }

  Result<void> take_requests(std::span<const LogRecord> records) {
    const auto since = told_since();
    for (const auto& record : records) {
      if (problem_with_request(record)) continue;
      key_.assign(state::prefix(partition_)).append(record.key);
      const bool known_time = record.at != Instant{};
      if (record.tombstone || (known_time && record.at < since))
        index_.add(key_, std::nullopt);
      else
        index_.add(key_, index_value(record.value, record.at));
    }
    meta_.requests = records.back().offset + 1;
    return index_.full() ? flush_index() : Result<void>();
  }

  // The position is written when what stands before it is there.
  Result<void> flush_index() {
    if (auto flushed = index_.flush(); !flushed) return flushed;
    auto meta = saved_;
    meta.requests = meta_.requests;
    return save({}, meta);
  }

  Result<void> take_feedback(std::span<const LogRecord> records) {
    if (auto taken = seen_.take(records, meta_, counts_); !taken) return taken;
    return seen_.full() ? flush_seen() : Result<void>();
  }

  Result<void> flush_seen() {
    if (auto flushed = seen_.flush(); !flushed) return flushed;
    auto meta = meta_;
    meta.requests = saved_.requests;
    meta.parked = saved_.parked;
    return save({}, meta);
  }

  // What has left the parked by the changelog's word was forwarded, or is dead. What the state has lost beside that was
  // not: the ledger counts it as parked still, and whoever counts the entries finds them too few.
  Result<void> settle(Offset committed) {
    meta_.feedback = committed;
    outer_.accepted_max_ = meta_.accepted_max;
    auto& ledger = meta_.ledger;
    ledger.logged = std::max(ledger.logged, ledger.duplicate + ledger.dead + ledger.parked);
    ledger.forwarded = ledger.logged - ledger.duplicate - ledger.dead - ledger.parked;
    return save({}, meta_);
  }

  Restore& outer_;
  KeyValue& state_;
  const Partition partition_;
  const ResolvePolicy& policy_;
  Meta meta_, saved_;              // as of what was read, as of what was written
  bool counts_ = false;            // the ledger goes on: the state was not empty
  std::optional<Instant> latest_;  // accepted_at, of what was peeked at
  ChunkReader chunks_;
  SameLog same_log_;
  SortedLoad index_;
  SeenReplay seen_;
  std::string key_;
};

Restore::Restore(EventSources& sources, KeyValue& state, Partition partition, const ResolvePolicy& policy,
                 const Clock& clock, std::chrono::milliseconds patience)
    : sources_(sources), state_(state), partition_(partition), policy_(policy), clock_(clock), patience_(patience) {}

Restore::~Restore() = default;

Result<void> Restore::run(Offset committed) {
  if (stopped_) return Error::stopped;
  drop_source_if(is_doubtful());
  const auto began = std::chrono::steady_clock::now();
  Run run(*this);
  auto ran = run.run(committed);
  drop_source_if(!ran);  // the next one looks again which log it is
  const auto took =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began).count();
  if (ran && run.records() >= 10'000)
    spdlog::info("event=restored partition={} records={} took_ms={}", partition_, run.records(), took);
  return ran;
}

Result<Offset> Restore::decided(Offset committed) { return Run(*this).decided(committed); }

bool Restore::is_doubtful() const {
  return source_ &&
         (source_->is_doubtful({Stream::requests, partition_}) || source_->is_doubtful({Stream::feedback, partition_}));
}

void Restore::drop_source_if(bool so) {
  std::scoped_lock lock(mutex_);
  if (so) source_.reset();
}

void Restore::wake() {
  std::scoped_lock lock(mutex_);
  if (source_) source_->wake();
}

}  // namespace assay
