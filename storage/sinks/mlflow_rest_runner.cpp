#include "storage/sinks/mlflow_rest_runner.hpp"

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <set>
#include <utility>

#include "ops/runtime/log.hpp"

namespace assay {

// Where everything else is answered: what is said and not tagged takes the room of what comes.
constexpr std::chrono::minutes tag_wait_max{10};

MlflowRunner::MlflowRunner(const MlflowSinkConfig& config, MlflowLanes& lanes, const SinkMarks& marks,
                           MlflowSpans& spans, Ended ended, const Clock& clock)
    : config_(config), lanes_(lanes), ended_(std::move(ended)), clock_(clock), writer_(config, marks, spans, clock) {
  for (std::size_t i = 0; i < config_.requests_max; ++i) {
    cancels_.push_back(std::make_unique<asio::cancellation_signal>());
    free_.push_back(i);
  }
}

void MlflowRunner::stop() {
  if (stopped_.exchange(true)) return;
  asio::post(context_, [this] {
    for (auto& cancel : cancels_) cancel->emit(asio::cancellation_type::terminal);
  });
}

Result<void> MlflowRunner::run(std::optional<Instant> until) {
  turn_ = {.until = until};
  if (stopped_) return make_error_code(Error::stopped);
  if (lanes_.ready() == 0) return {};
  context_.restart();
  add_workers();
  while (running_ > 0 && context_.run_one() > 0) {
  }
  if (stopped_) return make_error_code(Error::stopped);
  if (turn_.failure) return turn_.failure;
  if (turn_.repeat) return make_error_code(Error::sink_unavailable);
  return {};
}

Result<void> MlflowRunner::run_retries(std::vector<std::string> due) {
  if (due.empty()) return {};
  lanes_.begin_retries(std::move(due));
  const auto begun = clock_.now();
  const auto ran = run(begun + config_.retries_for);
  lanes_.end_retries(begun);
  return ran;
}

// As many as there is work for and as do the server good.
void MlflowRunner::add_workers() {
  const auto most =
      turn_.is_of_retries() ? std::min(config_.retries_at_once, writer_.concurrency()) : writer_.concurrency();
  for (auto n = std::min(most, lanes_.ready() + running_); running_ < n && !free_.empty();) {
    ++running_;
    const auto mine = free_.back();
    free_.pop_back();
    const auto ended = [this, mine](const std::exception_ptr& e) {
      --running_;
      free_.push_back(mine);
      if (e) turn_.failure = Error::storage_failed;
    };
    try {
      asio::co_spawn(context_, work(), asio::bind_cancellation_slot(cancels_[mine]->slot(), ended));
    } catch (...) {
      ended(std::current_exception());
      throw;
    }
  }
}

Task<void> MlflowRunner::work() {
  const auto is_over = [this] { return turn_.until && clock_.now() >= *turn_.until; };
  while (!turn_.failure && !stopped_ && lanes_.ready() > 0 && !is_over() &&
         running_ <= std::max<std::size_t>(writer_.concurrency(), 1)) {
    const auto trace_id = lanes_.take_next();
    auto& lane = lanes_.at(trace_id);
    try {
      co_await run_lane(trace_id, lane);
    } catch (const std::exception& e) {  // cancelled, or nothing that anybody foresaw: the lane is tried again
      turn_.failure = Error::storage_failed;
      if (!stopped_) spdlog::error("event=mlflow_sink_threw what=\"{}\"", e.what());
    }
    lanes_.settle(trace_id, turn_.failure || stopped_);
    if (!turn_.failure && !stopped_) add_workers();
  }
}

Task<void> MlflowRunner::run_lane(const std::string& trace_id, Lane& lane) {
  const bool waited = std::exchange(lane.unanswered, false);
  const bool said = co_await run_traces(trace_id, lane);
  auto round = said ? Round::again : Round::failed;
  while (round == Round::again) round = co_await run_assessments(trace_id, lane);
  if (round == Round::failed)
    lane.unanswered |= waited;  // not all of it was looked at
  else if (lane.untagged)
    co_await tag(trace_id, lane, waited);
}

// False: MLflow failed. All that is known of the trace is said at once, whatever its records added to it.
Task<bool> MlflowRunner::run_traces(const std::string& trace_id, Lane& lane) {
  if (lane.traces.empty()) co_return true;
  const MlflowWriter::News news = [&lane] { return lane.news(); };
  auto said = co_await writer_.write_trace(trace_id, news);
  auto& first = lane.traces.front();
  const bool waits = first.waits_since.has_value();
  said.outcome = co_await outcome_of(lane, first.trouble, said, waits);
  if (said.outcome == Outcome::again) co_return false;
  if (said.outcome == Outcome::gathers) {
    lane.come_soon(std::min(said.gathers_to, clock_.now() + config_.retry_max));
    co_return true;
  }
  for (auto at = lane.traces.begin(); at != lane.traces.end();) {
    const auto outcome = lanes_.wait(trace_id, lane, *at, said, writer_.taken_at());
    if (has_to_wait(outcome)) {
      ++at;
      continue;
    }
    const Written how{outcome, said.why};
    if (!end(trace_id, lane, at, how)) co_return false;
  }
  co_return true;
}

Task<MlflowRunner::Round> MlflowRunner::run_assessments(const std::string& trace_id, Lane& lane) {
  auto round = Round::done;
  std::set<std::string> blocked;  // assessments of which an earlier change waits for the create
  for (auto at = lane.assessments.begin(); at != lane.assessments.end();) {
    if (at->said) {
      ++at;
      continue;
    }
    const auto& record = std::get<AssessmentRecord>(at->record);
    if (record.op != Op::create && blocked.contains(record.assessment_id)) {
      const Written as_those{Outcome::waits, lane.waits_why};
      lanes_.wait(trace_id, lane, *at, as_those, writer_.taken_at());
      ++at;
      continue;
    }
    auto said = co_await writer_.write(record);
    const bool waits = at->waits_since.has_value();
    said.outcome = co_await outcome_of(lane, at->trouble, said, waits);
    said.outcome = lanes_.wait(trace_id, lane, *at, said, writer_.taken_at());
    if (said.outcome == Outcome::again) co_return Round::failed;
    if (has_to_wait(said.outcome)) {
      // The trace is not there: nothing else of it will be. Or what it overrides is not.
      if (said.outcome == Outcome::waits && record.op == Op::create &&
          said.why.find("Assessment with ID") == said.why.npos) {
        for (; at != lane.assessments.end(); ++at)
          if (!at->said) lanes_.wait(trace_id, lane, *at, said, writer_.taken_at());
        break;
      }
      blocked.insert(record.assessment_id);
      ++at;
      continue;
    }
    if (record.op == Op::create && blocked.contains(record.assessment_id)) round = Round::again;
    // What is there already may be what was said and not heard, and the tag not written then.
    if (config_.tag_traces && said.outcome != Outcome::dead) {
      at->said = said.outcome;
      at->waits_since.reset();
      lane.untagged = true;
      lane.progressed();
      ++at;
    } else if (!end(trace_id, lane, at, said)) {
      co_return Round::failed;
    }
  }
  co_return round;
}

// `waits`: something of the lane did before.
Task<void> MlflowRunner::tag(const std::string& trace_id, Lane& lane, bool waits) {
  const auto said = co_await writer_.tag(trace_id);
  const auto outcome = co_await outcome_of(lane, lane.tagging, said, waits);
  lane.untagged = outcome == Outcome::again ||
                  (outcome == Outcome::unanswered && mlflow::age(lane.tagging.since, clock_.now()) < tag_wait_max);
  if (lane.untagged) co_return;
  lane.tagging = {};
  for (auto at = lane.assessments.begin(); at != lane.assessments.end();) {
    const Written how{at->said.value_or(Outcome::waits)};
    if (!at->said)
      ++at;
    else if (!end(trace_id, lane, at, how))
      lane.untagged = true;  // and the turn is over
    if (lane.untagged) co_return;
  }
}

// False: it stays. `at`: the one behind it.
bool MlflowRunner::end(const std::string& trace_id, Lane& lane, mlflow::Jobs::iterator& at, const Written& how) {
  if (const auto ended = ended_(trace_id, lane, *at, how); !ended) {
    turn_.failure = ended.error();
    return false;
  }
  at = lanes_.end(trace_id, lane, at);
  lane.progressed();
  return true;
}

// What it means for this lane and for the others. Where MLflow broke at what the lane says, or gave no answer of its
// own, it may be in trouble: that passes, and is waited for. Or it is this record: then what is asked of its database
// beside it is answered, and the other lanes go on. `waits`: the record did before.
Task<mlflow::Outcome> MlflowRunner::outcome_of(Lane& lane, mlflow::Trouble& trouble, const Written& said, bool waits) {
  if (said.failure) turn_.failure = said.failure;
  if (!has_failed(said.outcome)) {
    trouble = {};
    co_return said.outcome;
  }
  const bool broke = said.outcome == Outcome::broke;
  const bool answers = co_await writer_.answers();
  if (!answers || (!waits && ++turn_.failed_beside > config_.unanswered_max)) co_return unavailable(said.why);
  // Where it has broken at all that it was told since then, that says nothing of this.
  const bool first = trouble.breaks == 0, takes_others = writer_.taken_at() >= trouble.since;
  if (first || (broke && !takes_others)) trouble = {.since = clock_.now()};
  ++trouble.breaks;
  const auto lasted = mlflow::age(trouble.since, clock_.now());
  if (broke && trouble.breaks >= config_.breaks_max && lasted >= config_.break_max) {
    spdlog::warn("event=mlflow_record_given_up why=\"{}\"", said.why);
    co_return Outcome::dead;
  }
  if (broke && first) {  // as where its database was locked: it is tried once more before it waits
    lane.come_soon(clock_.now());
    co_return Outcome::again;
  }
  if (broke || waits || lasted >= config_.unanswered_after) {
    if (!waits) spdlog::warn("event=mlflow_record_waits_alone why=\"{}\"", said.why);
    lane.unanswered = true;
    co_return Outcome::unanswered;
  }
  turn_.repeat = true;
  lane.come_soon(clock_.now());
  co_return Outcome::again;
}

MlflowRunner::Outcome MlflowRunner::unavailable(const std::string& why) {
  if (!turn_.failure) {
    turn_.failure = Error::sink_unavailable;
    if (!stopped_) spdlog::warn("event=mlflow_unavailable answer=\"{}\"", why);
  }
  return Outcome::again;
}

}  // namespace assay
