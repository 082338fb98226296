// Which lane has its turn, in which order a lane says what it has, what waits and for how long.
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>

#include <algorithm>

#include "ops/runtime/log.hpp"
#include "storage/sinks/mlflow_rest.hpp"

namespace assay {
namespace {

constexpr std::size_t retries_max = 256;  // of one turn

}  // namespace

void MlflowSink::make_ready(const std::string& trace_id, Lane& lane) {
  lane.retry_at.reset();
  lane.soon = false;
  if (lane.queued) return;
  lane.queued = true;
  ready_.push_back(trace_id);
}

Result<void> MlflowSink::run_ready(std::optional<Instant> until) {
  turn_ = {.until = until};
  if (stopped_) return make_error_code(Error::stopped);
  if (ready_.empty()) return {};
  context_.restart();
  add_workers();
  while (running_ > 0 && context_.run_one() > 0) {
  }
  if (stopped_) return make_error_code(Error::stopped);
  if (turn_.failure) return turn_.failure;
  if (turn_.repeat) return make_error_code(Error::sink_unavailable);
  return {};
}

// What waits and is due, what was due first at first; of what MLflow does not answer a few only: it may take long.
std::vector<std::string> MlflowSink::find_due() {
  const auto now = clock_.now();
  const auto is_due = [&](Instant at) { return at <= now || at > now + config_.retry_max; };  // the clock was set back
  const bool have_turn = is_due(retries_at_);
  std::vector<std::pair<Instant, const std::string*>> due;
  std::size_t unanswered = 0;
  for (auto& [trace_id, lane] : lanes_) {
    if (!lane.retry_at || !is_due(*lane.retry_at)) continue;
    if (lane.soon)
      make_ready(trace_id, lane);
    else if (have_turn && (!lane.unanswered || ++unanswered <= config_.unanswered_max))
      due.emplace_back(*lane.retry_at, &trace_id);
  }
  const auto n = std::min(due.size(), retries_max);
  std::partial_sort(due.begin(), due.begin() + static_cast<std::ptrdiff_t>(n), due.end());
  std::vector<std::string> out;
  for (std::size_t i = 0; i < n; ++i) out.push_back(*due[i].second);
  return out;
}

// For a while and a few at a time, so that what is new has most of the server's time.
Result<void> MlflowSink::run_retries(std::vector<std::string> due) {
  if (due.empty()) return {};
  for (auto& trace_id : due) {
    lanes_.at(trace_id).queued = true;
    ready_.push_back(std::move(trace_id));
  }
  const auto begun = clock_.now();
  const auto ran = run_ready(begun + config_.retries_for);
  std::erase_if(ready_, [this](const std::string& trace_id) {  // not reached: it waits on
    auto& lane = lanes_.at(trace_id);
    if (!lane.retry_at) return false;
    lane.queued = false;
    return true;
  });
  const auto now = clock_.now();
  retries_at_ = now + std::clamp(3 * (now - begun), Instant::duration(0), Instant::duration(config_.retry_max));
  return ran;
}

// As many as there is work for and as do the server good.
void MlflowSink::add_workers() {
  const auto most =
      turn_.is_of_retries() ? std::min(config_.retries_at_once, client_.concurrency()) : client_.concurrency();
  for (auto n = std::min(most, ready_.size() + running_); running_ < n && !free_.empty();) {
    ++running_;
    const auto mine = free_.back();
    free_.pop_back();
    asio::co_spawn(context_, work(), asio::bind_cancellation_slot(cancels_[mine]->slot(), [this, mine](auto e) {
                     --running_;
                     free_.push_back(mine);
                     if (e) turn_.failure = Error::storage_failed;
                   }));
  }
}

Task<void> MlflowSink::work() {
  const auto is_over = [this] { return turn_.until && clock_.now() >= *turn_.until; };
  while (!turn_.failure && !stopped_ && !ready_.empty() && !is_over() &&
         running_ <= std::max<std::size_t>(client_.concurrency(), 1)) {
    const std::string trace_id = std::move(ready_.front());
    ready_.pop_front();
    auto& lane = lanes_.at(trace_id);  // stays where it is: only settle() and make_room() erase, when nobody runs it
    lane.retry_at.reset();
    try {
      co_await run(trace_id, lane);
    } catch (const std::exception& e) {  // cancelled, or nothing that anybody foresaw: the lane is tried again
      turn_.failure = Error::storage_failed;
      if (!stopped_) spdlog::error("event=mlflow_sink_threw what=\"{}\"", e.what());
    }
    settle(trace_id);
    if (!turn_.failure && !stopped_) add_workers();
  }
}

// After a run: gone when it is empty, back in the row after a failure, otherwise it waits, at least for the next turn.
void MlflowSink::settle(const std::string& trace_id) {
  auto& lane = lanes_.at(trace_id);
  lane.queued = false;
  if (lane.is_done()) {
    lanes_.erase(trace_id);
  } else if (turn_.failure || stopped_) {
    make_ready(trace_id, lane);
  } else if (!lane.retry_at) {
    const auto doubled = config_.retry_first * (1 << std::min(lane.tries++, 10));
    lane.retry_at = clock_.now() + std::min<std::chrono::milliseconds>(doubled, config_.retry_max);
  }
}

Task<void> MlflowSink::run(const std::string& trace_id, Lane& lane) {
  const bool said = co_await run_traces(trace_id, lane);
  if (!said) co_return;
  for (auto round = Round::again; round == Round::again;) {
    round = co_await run_assessments(trace_id, lane);
    if (round == Round::failed) co_return;
  }
  if (lane.untagged) co_await tag(trace_id, lane);
}

// False: MLflow failed. All that is known of the trace is said at once, whatever its records added to it.
Task<bool> MlflowSink::run_traces(const std::string& trace_id, Lane& lane) {
  if (lane.traces.empty()) co_return true;
  std::string why;
  auto done = co_await write_trace(trace_id, lane, why);
  const bool waits = lane.traces.front().waits_since.has_value();
  if (has_failed(done)) done = co_await ask_beside(lane, done, waits, why);
  if (done == Outcome::again) co_return false;
  if (done == Outcome::gathers) {
    const auto now = clock_.now();
    lane.retry_at = std::min(spans_.gathers(trace_id, now).value_or(now), now + config_.retry_max);
    lane.soon = true;
    co_return true;
  }
  for (auto at = lane.traces.begin(); at != lane.traces.end();) {
    const auto fate = while_waiting(trace_id, lane, *at, done, why);
    if (has_to_wait(fate)) {
      ++at;
      continue;
    }
    if (!finish(trace_id, lane, *at, fate, why)) co_return false;
    at = lane.traces.erase(at);
    lane.progressed();
  }
  co_return true;
}

Task<MlflowSink::Round> MlflowSink::run_assessments(const std::string& trace_id, Lane& lane) {
  auto round = Round::done;
  std::set<std::string> blocked;  // assessments of which an earlier change waits for the create
  for (auto at = lane.assessments.begin(); at != lane.assessments.end();) {
    const auto& record = std::get<AssessmentRecord>(at->record);
    std::string why;
    if (record.op != Op::create && blocked.contains(record.assessment_id)) {
      why = lane.waits_why;
      while_waiting(trace_id, lane, *at, Outcome::waits, why);
      ++at;
      continue;
    }
    auto done = co_await write(record, why);
    const bool waits = at->waits_since.has_value();
    if (has_failed(done)) done = co_await ask_beside(lane, done, waits, why);
    done = while_waiting(trace_id, lane, *at, done, why);
    if (done == Outcome::again) co_return Round::failed;
    if (has_to_wait(done)) {
      // The trace is not there: nothing else of it will be. Or what it overrides is not.
      if (done == Outcome::waits && record.op == Op::create && why.find("Assessment with ID") == why.npos) {
        for (; at != lane.assessments.end(); ++at) while_waiting(trace_id, lane, *at, done, why);
        break;
      }
      blocked.insert(record.assessment_id);
      ++at;
      continue;
    }
    if (!finish(trace_id, lane, *at, done, why)) co_return Round::failed;
    lane.untagged |= done == Outcome::applied && config_.tag_traces;
    if (record.op == Op::create && blocked.contains(record.assessment_id)) round = Round::again;
    at = lane.assessments.erase(at);
    lane.progressed();
  }
  co_return round;
}

// What becomes of a record that has to wait: in the end a dead letter. Not where MLflow answered nothing it was given
// since then: that is its own trouble.
MlflowSink::Outcome MlflowSink::while_waiting(const std::string& trace_id, Lane& lane, Job& job, Outcome done,
                                              const std::string& why) {
  if (!has_to_wait(done)) return done;
  if (!job.waits_since) {
    job.waits_since = clock_.now();
    let_next_in(trace_id, job);
  }
  lane.waits_why = why;
  const bool over = age(*job.waits_since) >= config_.wait_max;
  return over && (done == Outcome::waits || taken_at_ > *job.waits_since) ? Outcome::dead : done;
}

// From now on, where the clock was set back.
std::chrono::milliseconds MlflowSink::age(Instant& since) const {
  const auto now = clock_.now();
  since = std::min(since, now);
  return now - since;
}

bool MlflowSink::is_full(Stream stream, double share) const {
  const auto& kept = stream == Stream::traces ? kept_traces_ : kept_assessments_;
  return static_cast<double>(kept.records) >= share * static_cast<double>(config_.records_max) ||
         static_cast<double>(kept.bytes) >= share * static_cast<double>(config_.bytes_max);
}

// Whether what it waits for may yet come by itself: its trace stands in the log behind what was read of it, or MLflow
// is in trouble.
bool MlflowSink::may_come(const Lane& lane, Job& job) const {
  if (lane.unanswered && taken_at_ <= *job.waits_since) return true;
  if (job.of.stream == Stream::traces) return false;
  if (age(*job.waits_since) < config_.full_after) return true;
  // Its own time says nothing: what was early was accepted before its trace. But its id had been told when it came.
  const auto to = traces_to_.find(job.of.partition);
  return !traces_are_read_ && (to == traces_to_.end() || to->second <= *job.waits_since);
}

// Where too much waits: the oldest of it are dead letters.
Result<void> MlflowSink::make_room(Stream stream) {
  if (!is_full(stream, 1)) return {};
  struct Waiting {
    Instant since;
    const std::string* trace_id;
    Lane* lane;
    std::list<Job>::iterator at;
  };
  std::vector<Waiting> waiting;
  const auto jobs_of = [stream](Lane & lane) -> auto& {
    return stream == Stream::traces ? lane.traces : lane.assessments;
  };
  for (auto& [trace_id, lane] : lanes_)
    for (auto at = jobs_of(lane).begin(); at != jobs_of(lane).end(); ++at)
      if (at->waits_since && !may_come(lane, *at)) waiting.push_back({*at->waits_since, &trace_id, &lane, at});
  std::stable_sort(waiting.begin(), waiting.end(), [](const auto& a, const auto& b) { return a.since < b.since; });
  std::set<std::string> touched;
  std::size_t buried = 0;
  for (const auto& [since, trace_id, lane, at] : waiting) {
    if (!is_full(stream, 0.75)) break;
    if (!finish(*trace_id, *lane, *at, Outcome::dead, "too many records wait as this one did: " + lane->waits_why))
      break;
    jobs_of(*lane).erase(at);
    ++buried;
    touched.insert(*trace_id);
  }
  for (const auto& trace_id : touched)
    if (lanes_.at(trace_id).is_done()) lanes_.erase(trace_id);
  if (buried > 0) spdlog::warn("event=mlflow_waiting_full stream={} dead_letters={}", name_of(stream), buried);
  return turn_.failure ? Result<void>(turn_.failure) : Result<void>();
}

}  // namespace assay
