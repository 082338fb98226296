#include "storage/sinks/mlflow_rest.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>

#include "ops/runtime/log.hpp"
#include "storage/sinks/mlflow_json.hpp"
#include "storage/sinks/poison.hpp"

namespace assay {
MlflowSink::MlflowSink(MlflowSinkConfig config, PositionStore& positions, KeyValue& local,
                       WriteDeadLetter write_dead_letter, const Clock& clock, Metrics& metrics)
    : config_(std::move(config)),
      positions_(positions),
      marks_(local, "mlflow"),
      write_dead_letter_(std::move(write_dead_letter)),
      clock_(clock),
      waiting_gauge_(metrics.gauge("assay_mlflow_waiting_records",
                                   "Assessments that wait for their trace, changes that wait for their create")),
      kept_gauge_(metrics.gauge("assay_mlflow_kept_records", "Records in memory that are not finished")),
      refused_total_(metrics.counter("assay_mlflow_refused_total", "Records that became dead letters")),
      client_(config_.mlflow, config_.requests_max) {
  for (std::size_t i = 0; i < config_.requests_max; ++i) {
    cancels_.push_back(std::make_unique<asio::cancellation_signal>());
    free_.push_back(i);
  }
}

MlflowSink::~MlflowSink() = default;

void MlflowSink::stop() {
  if (stopped_.exchange(true)) return;
  asio::post(context_, [this] {
    for (auto& cancel : cancels_) cancel->emit(asio::cancellation_type::terminal);
  });
}

Result<Offset> MlflowSink::position(StreamPartition of) {
  const auto next = positions_.load(of);
  if (!next) return next;
  const auto known = marks_.known(of);
  if (!known) return known;
  std::scoped_lock lock(mutex_);
  auto& place = places_[of];
  if (place.read_to > 0) return place.read_to;  // the source is opened again: what is kept is not taken twice
  place.begin = place.saved = *next;
  place.read_to = std::min(*known, *next);
  return place.read_to;
}

Offset MlflowSink::applied(StreamPartition of) const {
  std::scoped_lock lock(mutex_);
  const auto at = places_.find(of);
  return at == places_.end() ? 0 : at->second.position();
}

bool MlflowSink::has(StreamPartition of, Offset offset) const {
  std::scoped_lock lock(mutex_);
  const auto at = places_.find(of);
  if (at == places_.end()) return false;
  const auto& place = at->second;
  return offset < place.begin || (offset < place.read_to && !place.unfinished.contains(offset));
}

SinkLedger MlflowSink::ledger() const {
  std::scoped_lock lock(mutex_);
  return ledger_;
}

Result<void> MlflowSink::apply(std::span<const LogRecord> records) {
  if (!records.empty()) oldest_ = clock_.now();
  for (const auto& record : records)
    if (const auto taken = take(record); !taken) return taken;
  if (const auto marked = marks_.flush(); !marked) return marked;  // before anything of it is said
  const auto now = clock_.now();
  const auto is_due = [&](Instant at) { return at <= now || at > now + config_.retry_max; };  // the clock was set back
  std::size_t alone = 0;  // a few in one turn: what MLflow does not answer may take long
  for (auto& [trace_id, lane] : lanes_)
    if (lane.retry_at && is_due(*lane.retry_at) && (!lane.alone || ++alone <= config_.alone_max))
      make_ready(trace_id, lane);
  const auto ran = run_ready();
  std::int64_t waiting = 0;
  for (const auto& [id, lane] : lanes_)
    if (lane.retry_at) waiting += std::ssize(lane.assessments);
  waiting_ = waiting;
  waiting_gauge_.set(static_cast<double>(waiting));
  kept_gauge_.set(static_cast<double>(kept_));
  if (const auto saved = save(); !saved) return saved;
  const auto in_use = [this](const std::string& trace_id) { return lanes_.contains(trace_id); };
  if (oldest_ != Instant())
    if (const auto pruned = marks_.prune(oldest_ - config_.marks_max, records.size() + 16, in_use); !pruned)
      return pruned;
  return ran;
}

// Into its trace's lane. A record that was taken before is passed over: apply() is called again after an error.
Result<void> MlflowSink::take(const LogRecord& record) {
  const StreamPartition of{record.stream, record.partition};
  {
    std::scoped_lock lock(mutex_);
    if (record.offset < places_[of].read_to) return {};
  }
  std::optional<Job> job;
  std::string problem;
  if (record.stream == Stream::assessments) {
    auto parsed = read_assessment(record);
    if (parsed)
      job.emplace(Job{of, record.offset, std::move(*parsed)});
    else
      problem = parsed.error().reason;
  } else {
    auto parsed = read_trace(record);
    TraceRow row;
    if (!parsed)
      problem = parsed.error().reason;
    else if (const auto spans = spans_of(*parsed); !spans)
      problem = spans.error().reason;
    else if (const auto fits = parsed->deleted ? Result<bool, Malformed>(true) : row.apply(*parsed); !fits)
      problem = fits.error().reason;
    else
      job.emplace(Job{of, record.offset, std::move(*parsed)});
  }
  Offset begin = 0;
  {
    std::scoped_lock lock(mutex_);
    begin = places_[of].begin;
  }
  const bool done_before = record.offset < begin;
  if (!job && !done_before)
    if (const auto buried = write_dead_letter_(poison(record, problem, name(), clock_.now())); !buried) return buried;
  if (job) {
    const auto* assessment = std::get_if<AssessmentRecord>(&job->record);
    oldest_ = std::min(oldest_, assessment ? assessment->accepted_at : std::get<TraceRecord>(job->record).accepted_at);
    const auto marked = assessment ? marks_.take(*assessment, of.partition, record.offset)
                                   : marks_.take(std::get<TraceRecord>(job->record));
    if (!marked) return marked;
  }
  marks_.set_known(of, record.offset + 1);
  {
    std::scoped_lock lock(mutex_);
    auto& place = places_[of];
    place.read_to = record.offset + 1;
    if (done_before) return {};
    if (record.stream == Stream::assessments) {
      ++ledger_.read;
      if (!job) ++ledger_.dead;
    }
    if (!job) return {};
    place.unfinished.insert(record.offset);
  }
  ++kept_;
  const auto* trace = std::get_if<TraceRecord>(&job->record);
  const std::string trace_id = trace ? trace->trace_id : std::get<AssessmentRecord>(job->record).trace_id;
  auto& lane = lanes_[trace_id];
  (trace ? lane.traces : lane.assessments).push_back(std::move(*job));
  make_ready(trace_id, lane);
  return {};
}

void MlflowSink::make_ready(const std::string& trace_id, Lane& lane) {
  lane.retry_at.reset();
  if (lane.queued) return;
  lane.queued = true;
  ready_.push_back(trace_id);
}

Result<void> MlflowSink::run_ready() {
  failure_ = {};
  repeat_ = false;
  alone_ = 0;
  if (stopped_) return make_error_code(Error::stopped);
  if (ready_.empty()) return {};
  context_.restart();
  add_workers();
  while (running_ > 0 && context_.run_one() > 0) {
  }
  if (stopped_) return make_error_code(Error::stopped);
  if (failure_) return failure_;
  if (repeat_) return make_error_code(Error::sink_unavailable);
  return {};
}

// As many as there is work for and as do the server good.
void MlflowSink::add_workers() {
  for (auto n = std::min(client_.concurrency(), ready_.size() + running_); running_ < n && !free_.empty();) {
    ++running_;
    const auto mine = free_.back();
    free_.pop_back();
    asio::co_spawn(context_, work(), asio::bind_cancellation_slot(cancels_[mine]->slot(), [this, mine](auto e) {
                     --running_;
                     free_.push_back(mine);
                     if (e) failure_ = Error::storage_failed;
                   }));
  }
}

Task<void> MlflowSink::work() {
  while (!failure_ && !stopped_ && !ready_.empty() && running_ <= std::max<std::size_t>(client_.concurrency(), 1)) {
    const std::string trace_id = std::move(ready_.front());
    ready_.pop_front();
    auto& lane = lanes_.at(trace_id);  // stays where it is: only settle() erases, when nobody runs it
    try {
      co_await run(trace_id, lane);
    } catch (const std::exception& e) {  // cancelled, or nothing that anybody foresaw: the lane is tried again
      failure_ = Error::storage_failed;
      if (!stopped_) spdlog::error("event=mlflow_sink_threw what=\"{}\"", e.what());
    }
    settle(trace_id);
    if (!failure_ && !stopped_) add_workers();
  }
}

// After a run: gone when it is empty, back in the row after a failure, otherwise it waits, at least for the next turn.
void MlflowSink::settle(const std::string& trace_id) {
  auto& lane = lanes_.at(trace_id);
  lane.queued = false;
  if (lane.traces.empty() && lane.assessments.empty() && !lane.untagged) {
    lanes_.erase(trace_id);
  } else if (failure_ || stopped_) {
    make_ready(trace_id, lane);
  } else if (!lane.retry_at) {
    const auto doubled = config_.retry_first * (1 << std::min(lane.tries++, 10));
    lane.retry_at = clock_.now() + std::min<std::chrono::milliseconds>(doubled, config_.retry_max);
  }
}

Task<void> MlflowSink::run(const std::string& trace_id, Lane& lane) {
  const bool said = co_await run_traces(trace_id, lane);
  if (!said) co_return;
  for (bool again = true; again;) {
    again = false;
    std::set<std::string> blocked;  // assessments of which an earlier change waits for the create
    for (auto at = lane.assessments.begin(); at != lane.assessments.end();) {
      const auto& record = std::get<AssessmentRecord>(at->record);
      if (record.op != Op::create && blocked.contains(record.assessment_id)) {
        ++at;
        continue;
      }
      std::string why;
      auto done = co_await write(record, why);
      const bool waits = at->waits_since.has_value();
      if (done == Outcome::broke || done == Outcome::silent) done = co_await ask_beside(lane, done, waits, why);
      done = while_waiting(*at, done, why);
      if (done == Outcome::again) co_return;
      if (done == Outcome::waits || done == Outcome::alone) {
        // The trace is not there: nothing else of it will be. Or what it overrides is not.
        if (done == Outcome::waits && record.op == Op::create && why.find("Assessment with ID") == why.npos) break;
        blocked.insert(record.assessment_id);
        ++at;
        continue;
      }
      if (!finish(*at, done, why)) co_return;
      lane.untagged |= done == Outcome::applied && config_.tag_traces;
      again |= record.op == Op::create && blocked.contains(record.assessment_id);
      at = lane.assessments.erase(at);
      progressed(lane);
    }
  }
  if (lane.untagged) co_await tag(trace_id, lane);
}

// What becomes of a record that has to wait: in the end a dead letter. Not where MLflow answered nothing it was given
// since then: that is its own trouble.
MlflowSink::Outcome MlflowSink::while_waiting(Job& job, Outcome done, const std::string& why) {
  if (done != Outcome::waits && done != Outcome::alone) return done;
  if (!job.waits_since) job.waits_since = clock_.now();
  job.waits_why = why;
  const bool over = age(*job.waits_since) >= config_.wait_max;
  return over && (done == Outcome::waits || taken_at_ > *job.waits_since) ? Outcome::dead : done;
}

// From now on, where the clock was set back.
std::chrono::milliseconds MlflowSink::age(Instant& since) const {
  const auto now = clock_.now();
  since = std::min(since, now);
  return now - since;
}

// False: the dead letter could not be written; the record stays.
bool MlflowSink::finish(const Job& job, Outcome done, const std::string& why) {
  const auto* assessment = std::get_if<AssessmentRecord>(&job.record);
  if (done == Outcome::dead) {
    DeadLetter dead{.reason = std::string(dead_reason::refused), .detail = why};
    dead.step = name();
    dead.dead_at = clock_.now();
    dead.from = job.of;
    dead.offset = job.offset;
    if (assessment) {
      dead.record_id = assessment->record_id;
      dead.record = mlflow::feedback_of(*assessment);
    } else {
      const auto& trace = std::get<TraceRecord>(job.record);
      dead.record_id = std::string(name_of(job.of.stream)) + "/" + std::to_string(job.of.partition) + "/" +
                       std::to_string(job.offset);
      dead.raw = *to_record(trace).value;
    }
    if (const auto buried = write_dead_letter_(std::move(dead)); !buried) {
      failure_ = buried.error();
      return false;
    }
    refused_total_.Increment();
  }
  std::scoped_lock lock(mutex_);
  places_[job.of].unfinished.erase(job.offset);
  --kept_;
  if (assessment)
    ++(done == Outcome::applied ? ledger_.applied : done == Outcome::dead ? ledger_.dead : ledger_.duplicate);
  return true;
}

Result<void> MlflowSink::save() {
  std::vector<Position> moved;
  {
    std::scoped_lock lock(mutex_);
    for (auto& [of, place] : places_)
      if (place.position() != place.saved) moved.push_back({of, place.position()});
  }
  if (moved.empty()) return {};
  if (const auto saved = positions_.save(moved); !saved) return saved;
  std::scoped_lock lock(mutex_);
  for (const auto& [of, next] : moved) places_[of].saved = next;
  return {};
}

}  // namespace assay
