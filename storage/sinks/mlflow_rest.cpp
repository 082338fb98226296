#include "storage/sinks/mlflow_rest.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>

#include "ops/runtime/log.hpp"
#include "storage/records/json_writer.hpp"
#include "storage/sinks/mlflow_columns.hpp"
#include "storage/sinks/mlflow_json.hpp"
#include "storage/sinks/poison.hpp"

namespace assay {
namespace {

constexpr std::size_t retries_max = 256;           // of one turn
constexpr std::size_t letter_spans_max = 700'000;  // bytes, of a trace in its dead letter

}  // namespace

MlflowSink::MlflowSink(MlflowSinkConfig config, PositionStore& positions, KeyValue& local,
                       WriteDeadLetter write_dead_letter, const Clock& clock, Metrics& metrics)
    : config_(std::move(config)),
      positions_(positions),
      marks_(local, "mlflow"),
      spans_(config_.spans, marks_, metrics),
      write_dead_letter_(std::move(write_dead_letter)),
      clock_(clock),
      waiting_gauge_(metrics.gauge("assay_mlflow_waiting_records",
                                   "Assessments that wait for their trace, changes that wait for their create")),
      kept_gauge_(metrics.gauge("assay_mlflow_kept_records", "Records in memory that are not finished")),
      kept_bytes_gauge_(metrics.gauge("assay_mlflow_kept_bytes", "What they take there")),
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
  return places_.begin(of, *next, *known);
}

Result<void> MlflowSink::apply(std::span<const LogRecord> records) {
  if (!records.empty()) oldest_ = clock_.now();
  for (const auto& record : records)
    if (const auto taken = take(record); !taken) return taken;
  if (const auto marked = marks_.flush(); !marked) return marked;  // before anything of it is said
  auto due = find_due();
  auto ran = run_ready();
  if (ran) ran = run_retries(std::move(due));
  for (const auto stream : follows())
    if (ran) ran = make_room(stream);
  traces_are_read_ = false;
  std::int64_t waiting = 0;
  for (const auto& [id, lane] : lanes_)
    if (lane.retry_at) waiting += std::ssize(lane.assessments);
  waiting_ = waiting;
  waiting_gauge_.set(static_cast<double>(waiting));
  kept_gauge_.set(static_cast<double>(kept_traces_.records + kept_assessments_.records));
  kept_bytes_gauge_.set(static_cast<double>(kept_traces_.bytes + kept_assessments_.bytes));
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
  if (places_.was_read(of, record.offset)) return {};
  const bool ended_before = places_.ended_before(of, record.offset);
  auto taken = read(record);
  if (!taken && !ended_before) {
    if (const auto buried = write_dead_letter_(poison(record, taken.error().reason, name(), clock_.now())); !buried)
      return buried;
    refused_total_.Increment();
  }
  if (taken)
    if (const auto marked = mark(*taken); !marked) return marked;
  marks_.set_known(of, record.offset + 1);
  places_.read(of, record.offset);
  if (ended_before) return {};
  if (!taken) {
    places_.end(of, record.offset, SinkPlaces::Fate::dead);
    return {};
  }
  auto& kept = this->kept(of.stream);
  ++kept.records;
  kept.bytes += taken->job.bytes();
  place(taken->trace_id, std::move(taken->job));
  return {};
}

Result<MlflowSink::Taken, Malformed> MlflowSink::read(const LogRecord& record) {
  const StreamPartition of{record.stream, record.partition};
  if (record.stream == Stream::assessments) {
    auto assessment = read_assessment(record);
    if (!assessment) return assessment.error();
    auto trace_id = assessment->trace_id;
    return Taken{std::move(trace_id), {of, record.offset, std::move(*assessment)}};
  }
  auto trace = read_trace(record);
  if (!trace) return trace.error();
  if (const auto spans = spans_of(*trace); !spans) return spans.error();
  TraceRow row;
  if (!trace->deleted)
    if (const auto fits = row.apply(*trace); !fits) return fits.error();
  Job job{of, record.offset, TraceNews{trace->deleted, mlflow::removed_tags(trace->info)}};
  auto trace_id = trace->trace_id;
  return Taken{std::move(trace_id), std::move(job), std::move(*trace)};
}

// Also of what had ended before: that is what it is read for.
Result<void> MlflowSink::mark(const Taken& taken) {
  const auto& job = taken.job;
  if (taken.trace) {
    oldest_ = std::min(oldest_, taken.trace->accepted_at);
    traces_to_[job.of.partition] = taken.trace->accepted_at;
    return marks_.take(*taken.trace);
  }
  const auto& assessment = std::get<AssessmentRecord>(job.record);
  oldest_ = std::min(oldest_, assessment.accepted_at);
  return marks_.take(assessment, job.of.partition, job.offset);
}

// Into its lane, or behind the create of its id that another lane is about to say.
void MlflowSink::place(const std::string& trace_id, Job job) {
  const auto* assessment = std::get_if<AssessmentRecord>(&job.record);
  if (assessment && assessment->op == Op::create) {
    auto& first = creates_.try_emplace(assessment->assessment_id, FirstCreate{trace_id}).first->second;
    if (first.trace_id != trace_id) {
      first.behind.emplace_back(trace_id, std::move(job));
      return;
    }
  }
  auto& lane = lanes_[trace_id];
  (assessment ? lane.assessments : lane.traces).push_back(std::move(job));
  make_ready(trace_id, lane);
}

// After a create was finished, or had to wait.
void MlflowSink::let_next_in(const std::string& trace_id, const Job& job) {
  const auto* assessment = std::get_if<AssessmentRecord>(&job.record);
  if (!assessment || assessment->op != Op::create) return;
  const auto first = creates_.find(assessment->assessment_id);
  if (first == creates_.end() || first->second.trace_id != trace_id) return;
  auto behind = std::move(first->second.behind);
  creates_.erase(first);
  for (auto& [its_trace, next] : behind) place(its_trace, std::move(next));
}

// With what its place in a lane takes.
std::size_t MlflowSink::Job::bytes() const {
  std::size_t n = sizeof(Job) + sizeof(Lane);
  if (const auto* news = std::get_if<TraceNews>(&record)) {
    for (const auto& key : news->removed_tags) n += sizeof(key) + key.size();
    return n;
  }
  const auto& a = std::get<AssessmentRecord>(record);
  return n + a.json.size() + a.assessment_id.size() + 2 * a.trace_id.size() + a.record_id.size() +
         a.client_request_id.size();
}

void MlflowSink::make_ready(const std::string& trace_id, Lane& lane) {
  lane.retry_at.reset();
  lane.soon = false;
  if (lane.queued) return;
  lane.queued = true;
  ready_.push_back(trace_id);
}

// What waits and is due, what was due first at first; of what MLflow does not answer a few only: it may take long.
std::vector<std::string> MlflowSink::find_due() {
  const auto now = clock_.now();
  const auto is_due = [&](Instant at) { return at <= now || at > now + config_.retry_max; };  // the clock was set back
  const bool have_turn = is_due(retries_at_);
  std::vector<std::pair<Instant, const std::string*>> due;
  std::size_t alone = 0;
  for (auto& [trace_id, lane] : lanes_) {
    if (!lane.retry_at || !is_due(*lane.retry_at)) continue;
    if (lane.soon)
      make_ready(trace_id, lane);
    else if (have_turn && (!lane.alone || ++alone <= config_.alone_max))
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
  retry_until_ = begun + config_.retries_for;
  retrying_ = true;
  const auto ran = run_ready();
  retrying_ = false;
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

bool MlflowSink::is_full(Stream stream, double share) const {
  const auto& kept = stream == Stream::traces ? kept_traces_ : kept_assessments_;
  return static_cast<double>(kept.records) >= share * static_cast<double>(config_.records_max) ||
         static_cast<double>(kept.bytes) >= share * static_cast<double>(config_.bytes_max);
}

// Whether what it waits for may yet come by itself: its trace stands in the log behind what was read of it, or MLflow
// is in trouble.
bool MlflowSink::may_come(const Lane& lane, Job& job) const {
  if (lane.alone && taken_at_ <= *job.waits_since) return true;
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
  return failure_ ? Result<void>(failure_) : Result<void>();
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
  const auto most = retrying_ ? std::min(config_.retries_at_once, client_.concurrency()) : client_.concurrency();
  for (auto n = std::min(most, ready_.size() + running_); running_ < n && !free_.empty();) {
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
  const auto is_over = [this] { return retrying_ && clock_.now() >= retry_until_; };
  while (!failure_ && !stopped_ && !ready_.empty() && !is_over() &&
         running_ <= std::max<std::size_t>(client_.concurrency(), 1)) {
    const std::string trace_id = std::move(ready_.front());
    ready_.pop_front();
    auto& lane = lanes_.at(trace_id);  // stays where it is: only settle() and make_room() erase, when nobody runs it
    lane.retry_at.reset();
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
  if (lane.is_done()) {
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
      std::string why;
      if (record.op != Op::create && blocked.contains(record.assessment_id)) {
        why = lane.waits_why;
        while_waiting(trace_id, lane, *at, Outcome::waits, why);
        ++at;
        continue;
      }
      auto done = co_await write(record, why);
      const bool waits = at->waits_since.has_value();
      if (done == Outcome::broke || done == Outcome::silent) done = co_await ask_beside(lane, done, waits, why);
      done = while_waiting(trace_id, lane, *at, done, why);
      if (done == Outcome::again) co_return;
      if (done == Outcome::waits || done == Outcome::alone) {
        // The trace is not there: nothing else of it will be. Or what it overrides is not.
        if (done == Outcome::waits && record.op == Op::create && why.find("Assessment with ID") == why.npos) {
          for (; at != lane.assessments.end(); ++at) while_waiting(trace_id, lane, *at, done, why);
          break;
        }
        blocked.insert(record.assessment_id);
        ++at;
        continue;
      }
      if (!finish(trace_id, lane, *at, done, why)) co_return;
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
MlflowSink::Outcome MlflowSink::while_waiting(const std::string& trace_id, Lane& lane, Job& job, Outcome done,
                                              const std::string& why) {
  if (done != Outcome::waits && done != Outcome::alone) return done;
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

// What is known of a trace stands in the dead letter of its last record here: as much as a letter holds.
void MlflowSink::add_known(TraceRecord& trace, bool all) const {
  trace.accepted_at = clock_.now();
  JsonWriter(trace.info).begin_object().field("trace_id", trace.trace_id).end_object();
  const auto row = marks_.trace(trace.trace_id);
  if (!all || !row || row->empty()) return;
  trace.info = row->info_json(trace.trace_id, "", "");
  static_cast<void>(marks_.each_span(trace.trace_id, [&](const std::string& span) {
    trace.spans += (trace.spans.empty() ? "[" : ",") + span;
    return trace.spans.size() < letter_spans_max;
  }));
  if (!trace.spans.empty()) trace.spans += ']';
}

// False: the dead letter could not be written; the record stays.
bool MlflowSink::finish(const std::string& trace_id, const Lane& lane, const Job& job, Outcome done,
                        const std::string& why) {
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
      dead.record_id = place_id(job.of, job.offset);
      TraceRecord trace{.deleted = std::get<TraceNews>(job.record).deleted, .trace_id = trace_id};
      if (!trace.deleted) add_known(trace, lane.traces.size() == 1);
      dead.raw = *to_record(trace).value;
    }
    if (const auto buried = write_dead_letter_(std::move(dead)); !buried) {
      failure_ = buried.error();
      return false;
    }
    refused_total_.Increment();
  }
  let_next_in(trace_id, job);
  using Fate = SinkPlaces::Fate;
  places_.end(job.of, job.offset,
              done == Outcome::applied ? Fate::applied
              : done == Outcome::dead  ? Fate::dead
                                       : Fate::duplicate);
  auto& kept = this->kept(job.of.stream);
  --kept.records;
  kept.bytes -= job.bytes();
  return true;
}

Result<void> MlflowSink::save() {
  const auto moved = places_.moved();
  if (moved.empty()) return {};
  if (const auto saved = positions_.save(moved); !saved) return saved;
  places_.saved(moved);
  return {};
}

}  // namespace assay
