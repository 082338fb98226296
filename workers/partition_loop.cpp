#include "workers/partition_loop.hpp"

#include <unordered_set>
#include <utility>

#include "ops/runtime/log.hpp"
#include "storage/state/parked_state.hpp"

namespace assay {
namespace {

constexpr int halvings_max = 8;
constexpr int larger_after = 16;  // committed steps

}  // namespace

PartitionLoop::PartitionLoop(PartitionLoopConfig config, EventSources& sources, KeyValue& state, OpenPartition open,
                             const Clock& clock, Metrics& metrics, Progress* progress)
    : config_(config),
      sources_(sources),
      state_(state),
      open_(std::move(open)),
      clock_(clock),
      metrics_(metrics, config.partition),
      progress_(progress),
      restore_(sources, state, config.partition, config_.policy, clock),
      policy_(config_.policy) {}

void PartitionLoop::close() {
  committer_.reset();
  joined_ = false;
  joined_upto_.clear();
  pending_.clear();
  requests_.clear();
  undecided_.clear();
  expired_some_ = false;
  due_.reset();
  caught_up_ = false;
}

Result<void> PartitionLoop::open() {
  close();
  auto opened = open_();
  if (!opened) return opened.error();
  if (opened->committed) {
    if (auto restored = restore_.run(*opened->committed); !restored) return restored;
    restore_.done_with_changelog();
  } else if (auto finished = finish_wipe(state_, config_.partition); !finished) {
    return finished;
  }
  auto meta = load_meta(state_, config_.partition);
  if (!meta) return meta.error();
  const auto parked = count_parked(state_, config_.partition);
  if (!parked) return parked.error();
  const auto expiry = next_expiry(state_, config_.partition);
  if (!expiry) return expiry.error();
  meta_ = *meta;
  parked_ = *parked;
  next_expiry_ = *expiry;

  if (auto sourced = open_source(opened->committed); !sourced) return sourced;
  const auto requests_end = source_->end(requests());
  if (!requests_end) return requests_end.error();
  const auto feedback_end = source_->end(feedback());
  if (!feedback_end) return feedback_end.error();
  backlog_ = {*requests_end, *feedback_end};
  committer_ = std::move(opened->committer);
  metrics_.opened_total.Increment();
  metrics_.now(meta_.ledger, parked_);
  if (progress_) {
    progress_->advance(Follower::resolver, requests(), meta_.requests);
    progress_->advance(Follower::resolver, feedback(), meta_.feedback);
  }
  return {};
}

// Where the state is a cache the restore has left the source where the state is.
Result<void> PartitionLoop::open_source(std::optional<Offset> committed) {
  if (committed) {
    source_ = &restore_.source();
    source_->take_trimmed(feedback());  // of the restore, which may have begun further back
    note_trimmed({meta_.feedback, source_->position(feedback())});
    return {};
  }
  if (own_source_) {
    if (auto sought = own_source_->seek(requests(), meta_.requests); !sought) return sought;
    return own_source_->seek(feedback(), meta_.feedback);
  }
  auto source = sources_.open({{requests(), meta_.requests}, {feedback(), meta_.feedback}});
  if (!source) return source.error();
  std::scoped_lock lock(source_mutex_);
  own_source_ = std::move(*source);
  source_ = own_source_.get();
  return {};
}

// Feedback that was deleted, by age or from the topic's beginning, before it was read. A step that fails before the
// position has passed it meets it again.
void PartitionLoop::note_trimmed(Trimmed lost) {
  lost.from = std::max(lost.from, trimmed_to_);
  if (lost.to <= lost.from) return;
  trimmed_to_ = lost.to;
  metrics_.trimmed_total.Increment(static_cast<double>(lost.to - lost.from));
  spdlog::error("event=feedback_deleted_unread partition={} from={} records={}", config_.partition, lost.from,
                lost.to - lost.from);
}

Result<void> PartitionLoop::follow(Offset committed) { return restore_.run(committed, false); }

void PartitionLoop::wake() {
  restore_.wake();
  std::scoped_lock lock(source_mutex_);
  if (own_source_) own_source_->wake();
}

void PartitionLoop::stop() {
  restore_.stop();
  wake();
}

// The next ids that something waits for and that the index knows already.
Result<void> PartitionLoop::join() {
  const auto ids = awaited_ids(state_, config_.partition, joined_upto_, config_.joined_max);
  if (!ids) return ids.error();
  const auto traces = find_traces(state_, config_.partition, *ids, told_since());
  if (!traces) return traces.error();
  for (std::size_t i = 0; i < ids->size(); ++i)
    if ((*traces)[i]) pending_.push_back((*ids)[i]);
  if (ids->size() < config_.joined_max)
    joined_ = true;
  else
    joined_upto_ = ids->back();
  return {};
}

void PartitionLoop::take(std::span<const LogRecord> records) {
  if (const auto lost = source_->take_trimmed(feedback())) note_trimmed(*lost);
  for (const auto& record : records) {
    gathered_bytes_ += record.key.size() + record.value.size();
    if (record.stream == Stream::requests) {
      const auto is_id = [](std::string_view id) { return !id.empty() && id.size() <= record_id_bytes_max; };
      if (!is_id(record.key) || (!record.tombstone && !is_id(record.value))) {
        spdlog::warn("event=request_unreadable partition={} offset={}", record.partition, record.offset);
        continue;
      }
      requests_.push_back({std::string(record.key),
                           record.tombstone ? std::nullopt : std::optional<std::string>(record.value), record.at});
    } else if (record.stream == Stream::feedback) {
      auto parsed = record.tombstone ? Result<FeedbackRecord, Malformed>(Malformed{"it has no value"})
                                     : read_feedback(record, config_.policy);
      std::string raw = parsed ? std::string() : std::string(record.value);
      undecided_.push_back({record.offset, std::move(parsed), std::move(raw)});
    }
  }
}

Result<void> PartitionLoop::gather(std::chrono::milliseconds wait) {
  gathered_bytes_ = 0;
  const auto told = source_->read_from(requests(), config_.records_max);
  if (!told) return told.error();
  take(*told);
  behind_ = requests_.size() + undecided_.size() >= config_.records_max;
  if (!undecided_.empty()) return {};
  const auto said = source_->read_from(feedback(), config_.records_max);
  if (!said) return said.error();
  take(*said);
  behind_ = behind_ || undecided_.size() >= config_.records_max;
  if (!requests_.empty() || !undecided_.empty()) return gather_more();
  if (wait.count() <= 0) return {};
  if (next_expiry_) wait = std::clamp(*next_expiry_ - clock_.now(), std::chrono::milliseconds(1), wait);
  const auto any = source_->read(config_.records_max, wait);
  if (!any) return any.error();
  take(*any);
  return any->empty() ? Result<void>() : gather_more();
}

// A step's transaction costs as much for one record as for hundreds: it waits for company, but not where it has as much
// as it can take.
Result<void> PartitionLoop::gather_more() {
  const auto until = std::chrono::steady_clock::now() + config_.commit_interval;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    const auto have = requests_.size() + undecided_.size();
    if (left.count() <= 0 || have >= config_.records_max || gathered_bytes_ >= config_.gather_max) return {};
    const auto more = source_->read(config_.records_max - have, left);
    if (!more) return more.error();
    if (more->empty()) return {};  // the time is over, or wake() was called
    take(*more);
  }
}

Result<void> PartitionLoop::learn_traces(Resolution& resolution, std::vector<std::string> ids) const {
  auto traces = find_traces(state_, config_.partition, ids, told_since());
  if (!traces) return traces.error();
  for (std::size_t i = 0; i < ids.size(); ++i)
    resolution.facts().learn_trace(std::move(ids[i]), std::move((*traces)[i]));
  return {};
}

// Applies the requests records that were read, and notes what they may release.
Result<void> PartitionLoop::tell(Resolution& resolution) {
  if (!requests_.empty()) {
    std::vector<std::string> ids;
    ids.reserve(requests_.size());
    for (const auto& request : requests_) ids.push_back(request.id);
    if (const auto learnt = learn_traces(resolution, std::move(ids)); !learnt) return learnt;
    std::unordered_set<std::string_view> once;
    for (const auto& request : requests_) {
      resolution.request(request);
      if (request.trace_id && parked_ > 0 && resolution.trace_of(request.id) && once.insert(request.id).second)
        pending_.push_back(request.id);
    }
    requests_.clear();
  }
  resolution.requests_read(source_->position(requests()));
  return {};
}

Result<void> PartitionLoop::release(Resolution& resolution) {
  if (pending_.empty()) return {};
  // Those that this step has not told itself: found by the join, or left by the step before.
  if (const auto learnt = learn_traces(resolution, {pending_.begin(), pending_.end()}); !learnt) return learnt;
  // What waits is read in chunks, so that a value is only fetched when there is room for it.
  constexpr std::size_t chunk = 256;
  while (!pending_.empty() && !resolution.full()) {
    const auto& id = pending_.front();
    const auto trace = resolution.trace_of(id);
    if (!trace) {  // untold again
      pending_.pop_front();
      continue;
    }
    const auto waiting = waiting_for(state_, config_.partition, id, policy_.outputs_max);
    if (!waiting) return waiting.error();
    std::size_t done = 0;
    while (done < waiting->size() && !resolution.full()) {
      const auto some = std::span(*waiting).subspan(done, std::min(chunk, waiting->size() - done));
      const auto parked = find_parked(state_, config_.partition, some);
      if (!parked) return parked.error();
      for (const auto& record : *parked) {
        if (resolution.full()) break;
        if (!record) return Error::corrupt;
        resolution.release(*record, *trace);
        ++done;
      }
    }
    if (done < waiting->size() || done >= policy_.outputs_max) break;  // the next step goes on with this id
    pending_.pop_front();
  }
  return {};
}

Result<void> PartitionLoop::decide(Resolution& resolution) {
  if (const auto& oldest = undecided_.front().record)
    metrics_.behind_seconds.Set(std::chrono::duration<double>(clock_.now() - oldest->logged_at()).count());
  Needs needs;
  for (const auto& incoming : undecided_)
    if (incoming.record) add_needs(*incoming.record, policy_, needs);
  if (const auto learnt = learn_traces(resolution, std::move(needs.traces)); !learnt) return learnt;
  const auto seen = find_seen(state_, config_.partition, needs.seen);
  if (!seen) return seen.error();
  for (std::size_t i = 0; i < needs.seen.size(); ++i)
    resolution.facts().learn_seen(std::move(needs.seen[i]), (*seen)[i]);
  if (parked_ > 0) {
    auto parked = find_parked(state_, config_.partition, needs.parked);
    if (!parked) return parked.error();
    for (std::size_t i = 0; i < needs.parked.size(); ++i)
      resolution.facts().learn_parked(std::move(needs.parked[i]), std::move((*parked)[i]));
  }
  while (!undecided_.empty() && !resolution.full()) {
    resolution.feedback(undecided_.front());
    undecided_.pop_front();
  }
  return {};
}

// Only when the requests stream has been read up to where it ended when the first was seen to be due: a trace in the
// backlog comes in time.
Result<void> PartitionLoop::expire(Resolution& resolution) {
  const auto now = clock_.now();
  if (!next_expiry_ || *next_expiry_ > now || resolution.full()) return {};
  if (!due_) {
    const auto end = source_->end(requests());
    if (!end) return end.error();
    due_ = {now, *end};
  }
  if (source_->position(requests()) < due_->requests_end) return {};
  const auto as_of = std::exchange(due_, {})->at;  // what was told since then has not been looked for
  const auto ids = expired_at(state_, config_.partition, as_of, policy_.outputs_max);
  if (!ids) return ids.error();
  if (ids->empty()) {  // what it was noted for has been released
    const auto next = next_expiry(state_, config_.partition);
    if (!next) return next.error();
    next_expiry_ = *next;
    return {};
  }
  constexpr std::size_t chunk = 256;
  for (std::size_t from = 0; from < ids->size() && !resolution.full(); from += chunk) {
    const auto parked =
        find_parked(state_, config_.partition, std::span(*ids).subspan(from, std::min(chunk, ids->size() - from)));
    if (!parked) return parked.error();
    for (const auto& record : *parked) {
      if (resolution.full()) break;
      if (!record) return Error::corrupt;
      resolution.expire(*record, as_of);
    }
  }
  expired_some_ = true;
  return {};
}

Result<void> PartitionLoop::commit(Resolution& resolution, std::chrono::steady_clock::time_point began) {
  const auto counts = resolution.counts();
  const auto meta = resolution.meta();
  const auto first_expiry = resolution.first_expiry();
  auto step = resolution.finish();
  const auto outcome = committer_->commit(step);
  size_steps(outcome == StepOutcome::committed);
  if (outcome != StepOutcome::committed) {
    metrics_.steps_failed_total.Increment();
    spdlog::warn("event=step_failed partition={} outcome={} position={}", config_.partition,
                 outcome == StepOutcome::aborted ? "aborted" : "unknown", meta.feedback);
    return Error::log_unavailable;
  }
  meta_ = meta;
  parked_ += counts.parked - counts.released - counts.expired;
  if (first_expiry && (!next_expiry_ || *first_expiry < *next_expiry_)) next_expiry_ = first_expiry;
  if (expired_some_) {
    const auto next = next_expiry(state_, config_.partition);
    if (!next) return next.error();
    next_expiry_ = *next;
    expired_some_ = false;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  metrics_.committed(counts, meta_.ledger, parked_, took.count());
  if (progress_) {
    progress_->advance(Follower::resolver, requests(), meta_.requests);
    progress_->advance(Follower::resolver, feedback(), meta_.feedback);
  }
  return {};
}

// What has been read and is not decided yet counts as lag, too; where the log does not say its end, the last figure
// stands.
void PartitionLoop::count_lag() {
  Offset lag = static_cast<Offset>(undecided_.size());
  for (const auto& where : {requests(), feedback()}) {
    const auto end = source_->end(where);
    if (!end) return;
    lag += std::max<Offset>(0, *end - source_->position(where));
  }
  metrics_.lag.Set(static_cast<double>(lag));
}

bool PartitionLoop::decided_backlog() const {
  if (!joined_ || !pending_.empty()) return false;
  // Or up to where it can be read now: behind a transaction of others' that is open there may be nothing.
  const auto passed = [&](StreamPartition where, Offset position, Offset upto) {
    if (position >= upto) return true;
    const auto end = source_->end(where);
    return end && position >= *end;
  };
  const auto decided = undecided_.empty() ? source_->position(feedback()) : undecided_.front().offset;
  return passed(requests(), source_->position(requests()), backlog_.requests) &&
         passed(feedback(), decided, backlog_.feedback);
}

// A step that a slow broker can't take in its time would fail as often as it is tried.
void PartitionLoop::size_steps(bool committed) {
  if (committed && (halvings_ == 0 || ++committed_since_ < larger_after)) return;
  committed_since_ = 0;
  halvings_ = std::clamp(halvings_ + (committed ? -1 : 1), 0, halvings_max);
  policy_.outputs_max = std::max<std::size_t>(config_.policy.outputs_max >> halvings_, 1);
  policy_.bytes_max = std::max<std::size_t>(config_.policy.bytes_max >> halvings_, 1);
}

Result<PartitionLoop::Ran> PartitionLoop::run_once(std::chrono::milliseconds wait) {
  if (!committer_)
    if (auto opened = open(); !opened) {
      close();
      return opened.error();
    }
  const auto work = [&]() -> Result<Ran> {
    if (pending_.empty() && !joined_)
      if (auto joined = join(); !joined) return joined.error();
    const bool reads = pending_.empty() && joined_;
    if (reads)
      if (auto gathered = gather(wait); !gathered) return gathered.error();
    const auto began = std::chrono::steady_clock::now();
    Resolution resolution(config_.partition, meta_, policy_, clock_.now());
    if (reads)
      if (auto told = tell(resolution); !told) return told.error();
    if (auto released = release(resolution); !released) return released.error();
    if (pending_.empty() && joined_) {
      if (!undecided_.empty())
        if (auto decided = decide(resolution); !decided) return decided.error();
      if (auto expired = expire(resolution); !expired) return expired.error();
    }
    if (!resolution.empty()) {
      if (auto committed = commit(resolution, began); !committed) return committed.error();
      if (!caught_up_) caught_up_ = decided_backlog();
      count_lag();
      return Ran::worked;
    }
    expired_some_ = false;
    if (!reads) return Ran::joined;  // nothing was left to release; what is to be read has not been looked at
    // Nothing came: of a broker that is slow, or away, that says nothing of what is there.
    if (!caught_up_) caught_up_ = decided_backlog();
    count_lag();
    if (caught_up_) metrics_.behind_seconds.Set(0);
    return Ran::idle;
  };
  auto ran = work();
  if (!ran) close();
  return ran;
}

}  // namespace assay
