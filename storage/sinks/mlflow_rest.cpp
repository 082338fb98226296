#include "storage/sinks/mlflow_rest.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>

#include "storage/records/json_writer.hpp"
#include "storage/sinks/mlflow_columns.hpp"
#include "storage/sinks/mlflow_json.hpp"
#include "storage/sinks/poison.hpp"

namespace assay {
namespace {

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
  tell_what_is_kept();
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
  kept(of.stream).add(taken->job);
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
  const auto spans = spans_of(*trace);
  if (!spans) return spans.error();
  TraceRow row;
  if (!trace->deleted)
    if (const auto fits = row.apply(*trace); !fits) return fits.error();
  TraceNews news{trace->deleted, mlflow::removed_tags(trace->info)};
  for (const auto& [id, span] : *spans) news.spans.push_back(id);
  Job job{of, record.offset, std::move(news)};
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
    for (const auto* texts : {&news->removed_tags, &news->spans})
      for (const auto& text : *texts) n += sizeof(text) + text.size();
    return n;
  }
  const auto& a = std::get<AssessmentRecord>(record);
  return n + a.json.size() + a.assessment_id.size() + 2 * a.trace_id.size() + a.record_id.size() +
         a.client_request_id.size();
}

// False: the dead letter could not be written; the record stays.
bool MlflowSink::finish(const std::string& trace_id, const Lane& lane, const Job& job, Outcome done,
                        const std::string& why) {
  if (done == Outcome::dead) {
    if (const auto buried = write_dead_letter_(letter_of(trace_id, lane, job, why)); !buried) {
      turn_.failure = buried.error();
      return false;
    }
    refused_total_.Increment();
    if (job.of.stream == Stream::traces) spans_.was_lost(trace_id);
  }
  let_next_in(trace_id, job);
  using Fate = SinkPlaces::Fate;
  places_.end(job.of, job.offset,
              done == Outcome::applied ? Fate::applied
              : done == Outcome::dead  ? Fate::dead
                                       : Fate::duplicate);
  kept(job.of.stream).remove(job);
  return true;
}

DeadLetter MlflowSink::letter_of(const std::string& trace_id, const Lane& lane, const Job& job,
                                 const std::string& why) const {
  DeadLetter dead{.reason = std::string(dead_reason::refused), .detail = why};
  dead.step = name();
  dead.dead_at = clock_.now();
  dead.from = job.of;
  dead.offset = job.offset;
  if (const auto* assessment = std::get_if<AssessmentRecord>(&job.record)) {
    dead.record_id = assessment->record_id;
    dead.record = mlflow::feedback_of(*assessment);
  } else {
    dead.record_id = place_id(job.of, job.offset);
    TraceRecord trace{.deleted = std::get<TraceNews>(job.record).deleted, .trace_id = trace_id};
    if (!trace.deleted) add_known(trace, lane.traces.size() == 1);
    dead.raw = *to_record(trace).value;
  }
  return dead;
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

void MlflowSink::tell_what_is_kept() {
  std::int64_t waiting = 0;
  for (const auto& [id, lane] : lanes_)
    if (lane.retry_at) waiting += std::ssize(lane.assessments);
  waiting_ = waiting;
  waiting_gauge_.set(static_cast<double>(waiting));
  kept_gauge_.set(static_cast<double>(kept_traces_.records + kept_assessments_.records));
  kept_bytes_gauge_.set(static_cast<double>(kept_traces_.bytes + kept_assessments_.bytes));
}

Result<void> MlflowSink::save() {
  const auto moved = places_.moved();
  if (moved.empty()) return {};
  if (const auto saved = positions_.save(moved); !saved) return saved;
  places_.saved(moved);
  return {};
}

}  // namespace assay
