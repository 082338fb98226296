#include "workers/partition_loop.hpp"

#include <unordered_set>
#include <utility>

#include "ops/runtime/log.hpp"
#include "storage/state/parked_state.hpp"
#include "storage/state/remains_state.hpp"

namespace assay {
namespace {

constexpr std::size_t parked_at_once = 256;  // read, so that a value is only fetched when there is room for it
constexpr std::size_t looked_at_max = 4096;  // of what waits for the id that a delete is about

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
      size_(config_.policy) {}

void PartitionLoop::close() {
  committer_.reset();
  joined_ = false;
  joined_upto_.clear();
  pending_.clear();
  requests_.clear();
  unreadable_requests_.clear();
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
    auto restored = restore_.run(*opened->committed);
    if (!restored && restored.error() == Error::log_changed)
      restored = begin_anew(*opened->committer, *opened->committed);
    if (!restored) return restored;
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
  const auto remains = has_remains(state_, config_.partition);
  if (!remains) return remains.error();
  has_remains_ = *remains;
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

// Where the log is another one than that of the committed position. That moves back first: a state that was thrown away
// knows no better, and would believe it.
Result<void> PartitionLoop::begin_anew(StepCommitter& committer, Offset committed) {
  const auto decided = restore_.decided(committed);
  if (!decided) return decided.error();
  spdlog::error("event=position_of_another_log partition={} committed={} from={} act=\"move it back and rebuild\"",
                config_.partition, committed, *decided);
  Step step{.partition = config_.partition, .feedback_position = *decided, .moves_back = true};
  if (committer.commit(step) != StepOutcome::committed) return Error::log_unavailable;
  return restore_.run(*decided);
}

Result<void> PartitionLoop::follow(Offset committed) {
  metrics_.given_up();
  return restore_.run(committed);
}

void PartitionLoop::wake() {
  restore_.wake();
  std::scoped_lock lock(source_mutex_);
  if (own_source_) own_source_->wake();
}

void PartitionLoop::stop() {
  restore_.stop();
  wake();
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
      resolution.tell(request);
      if (request.trace_id && parked_ > 0 && resolution.trace_of(request.id) && once.insert(request.id).second)
        pending_.push_back(request.id);
    }
    requests_.clear();
  }
  for (const auto& request : unreadable_requests_) resolution.malformed(request);
  unreadable_requests_.clear();
  resolution.requests_read(source_->position(requests()));
  return {};
}

Result<void> PartitionLoop::release(Resolution& resolution) {
  if (pending_.empty()) return {};
  // Those that this step has not told itself: found by the join, or left by the step before.
  if (const auto learnt = learn_traces(resolution, {pending_.begin(), pending_.end()}); !learnt) return learnt;
  while (!pending_.empty() && !resolution.full()) {
    const auto& id = pending_.front();
    const auto trace = resolution.trace_of(id);
    if (!trace) {  // untold again
      pending_.pop_front();
      continue;
    }
    const auto waiting = waiting_for(state_, config_.partition, id, size_.policy().outputs_max);
    if (!waiting) return waiting.error();
    std::size_t done = 0;
    while (done < waiting->size() && !resolution.full()) {
      const auto some = std::span(*waiting).subspan(done, std::min(parked_at_once, waiting->size() - done));
      const auto parked = find_parked(state_, config_.partition, some);
      if (!parked) return parked.error();
      for (const auto& record : *parked) {
        if (resolution.full()) break;
        if (!record) return Error::corrupt;
        resolution.release(*record, *trace);
        ++done;
      }
    }
    if (done < waiting->size() || done >= size_.policy().outputs_max) break;  // the next step goes on with this id
    pending_.pop_front();
  }
  return {};
}

Result<void> PartitionLoop::learn_remains(Resolution& resolution, std::span<const std::string> assessments) const {
  if (!has_remains_) return {};
  auto remains = find_remains(state_, config_.partition, assessments);
  if (!remains) return remains.error();
  for (std::size_t i = 0; i < assessments.size(); ++i)
    resolution.facts().learn_remains(assessments[i], std::move((*remains)[i]));
  return {};
}

// What is parked of these, and what else waits where deletes look for what they take back.
Result<void> PartitionLoop::learn_parked(Resolution& resolution, Needs needs) const {
  auto parked = find_parked(state_, config_.partition, needs.parked);
  if (!parked) return parked.error();
  for (std::size_t i = 0; i < needs.parked.size(); ++i) {
    auto& found = (*parked)[i];
    if (found && needs.erased.contains(needs.parked[i])) needs.waiting.insert(found->waits_for());
    resolution.facts().learn_parked(std::move(needs.parked[i]), std::move(found));
  }
  for (const auto& id : needs.waiting) {
    const auto ids = waiting_for(state_, config_.partition, id, looked_at_max);
    if (!ids) return ids.error();
    auto waiting = find_parked(state_, config_.partition, *ids);
    if (!waiting) return waiting.error();
    for (auto& one : *waiting)
      if (one && needs.erased.contains(one->item.assessment_id)) resolution.facts().learn_waiting(std::move(*one));
  }
  return {};
}

Result<void> PartitionLoop::decide(Resolution& resolution) {
  if (const auto& oldest = undecided_.front().record)
    metrics_.behind_seconds.set(std::chrono::duration<double>(clock_.now() - oldest->logged_at()).count());
  Needs needs;
  for (const auto& incoming : undecided_)
    if (incoming.record) add_needs(*incoming.record, config_.policy, needs);
  if (const auto learnt = learn_traces(resolution, std::move(needs.traces)); !learnt) return learnt;
  const auto seen = find_seen(state_, config_.partition, needs.seen);
  if (!seen) return seen.error();
  for (std::size_t i = 0; i < needs.seen.size(); ++i)
    resolution.facts().learn_seen(std::move(needs.seen[i]), (*seen)[i]);
  if (const auto learnt = learn_remains(resolution, needs.assessments); !learnt) return learnt;
  if (const auto forgotten = forget(resolution, needs.assessments.size()); !forgotten) return forgotten;
  if (parked_ > 0)
    if (const auto learnt = learn_parked(resolution, std::move(needs)); !learnt) return learnt;
  while (!undecided_.empty() && !resolution.full()) {
    resolution.decide(undecided_.front());
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
  const auto ids = expired_at(state_, config_.partition, as_of, size_.policy().outputs_max);
  if (!ids) return ids.error();
  if (ids->empty()) {  // what it was noted for has been released
    const auto next = next_expiry(state_, config_.partition);
    if (!next) return next.error();
    next_expiry_ = *next;
    return {};
  }
  for (std::size_t from = 0; from < ids->size() && !resolution.full(); from += parked_at_once) {
    const auto parked = find_parked(state_, config_.partition,
                                    std::span(*ids).subspan(from, std::min(parked_at_once, ids->size() - from)));
    if (!parked) return parked.error();
    std::vector<std::string> assessments;
    for (const auto& record : *parked) {
      if (!record) return Error::corrupt;
      assessments.push_back(record->item.assessment_id);
    }
    if (const auto learnt = learn_remains(resolution, assessments); !learnt) return learnt;
    for (const auto& record : *parked) {
      if (resolution.full()) break;
      resolution.expire(*record, as_of);
    }
  }
  expired_some_ = true;
  return forget(resolution, ids->size());
}

// Whenever feedback comes or expires, each of which adds one at most: twice as many as that at most. A deletion is
// remembered for what may still wait, so none is forgotten whose time ends behind that of what is due, and still there.
Result<void> PartitionLoop::forget(Resolution& resolution, std::size_t more) const {
  if (!has_remains_) return {};
  const auto upto = next_expiry_ ? std::min(clock_.now(), *next_expiry_) : clock_.now();
  const auto over = remains_over(state_, config_.partition, upto, 2 * more);
  if (!over) return over.error();
  if (const auto learnt = learn_remains(resolution, *over); !learnt) return learnt;
  for (const auto& id : *over) resolution.forget(id, upto);
  return {};
}

Result<void> PartitionLoop::commit(Resolution& resolution, std::chrono::steady_clock::time_point began) {
  const auto counts = resolution.counts();
  const auto meta = resolution.meta();
  const auto first_expiry = resolution.first_expiry();
  auto step = resolution.finish();
  const auto outcome = committer_->commit(step);
  if (outcome != StepOutcome::committed) {
    size_.failed();
    metrics_.steps_failed_total.Increment();
    spdlog::warn("event=step_failed partition={} outcome={} position={}", config_.partition,
                 outcome == StepOutcome::aborted ? "aborted" : "unknown", meta.feedback);
    return Error::log_unavailable;
  }
  size_.committed();
  has_remains_ = has_remains_ || resolution.left_remains();
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

Result<PartitionLoop::Ran> PartitionLoop::run_once(std::chrono::milliseconds wait) {
  if (!committer_)
    if (auto opened = open(); !opened) {
      close();
      return opened.error();
    }
  auto ran = step(wait);
  if (!ran) close();
  return ran;
}

Result<PartitionLoop::Ran> PartitionLoop::step(std::chrono::milliseconds wait) {
  if (pending_.empty() && !joined_)
    if (auto joined = join(); !joined) return joined.error();
  const bool reads = pending_.empty() && joined_;
  if (reads)
    if (auto gathered = gather(wait); !gathered) return gathered.error();
  const auto began = std::chrono::steady_clock::now();
  Resolution resolution(config_.partition, meta_, size_.policy(), clock_.now());
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
  if (caught_up_) metrics_.behind_seconds.set(0);
  return Ran::idle;
}

}  // namespace assay
