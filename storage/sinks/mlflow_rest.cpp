#include "storage/sinks/mlflow_rest.hpp"

#include <algorithm>
#include <set>

#include "ops/runtime/log.hpp"
#include "storage/records/json_writer.hpp"
#include "storage/sinks/mlflow_columns.hpp"
#include "storage/sinks/mlflow_json.hpp"
#include "storage/sinks/poison.hpp"

namespace assay {
namespace {

using mlflow::Job, mlflow::Lane, mlflow::Outcome, mlflow::Written;

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
      lanes_(config_, clock_),
      runner_(
          config_, lanes_, marks_, spans_,
          [this](const auto& trace_id, const auto& lane, const auto& job, const auto& how) {
            return end(trace_id, lane, job, how);
          },
          clock_) {}

MlflowSink::~MlflowSink() = default;

Result<Offset> MlflowSink::position(StreamPartition of) {
  const auto next = positions_.load(of);
  if (!next) return next;
  const auto known = marks_.known(of);
  if (!known) return known;
  return places_.begin(of, *next, *known);
}

Result<void> MlflowSink::start_over() {
  const auto begun = places_.start_over();
  return positions_.save(begun);
}

Result<void> MlflowSink::apply(std::span<const LogRecord> records) {
  if (!records.empty()) oldest_ = clock_.now();
  for (const auto& record : records)
    if (const auto taken = take(record); !taken) return taken;
  if (const auto marked = marks_.flush(); !marked) return marked;  // before anything of it is said
  auto due = lanes_.find_due();
  auto ran = runner_.run_ready();
  if (ran) places_.all_tried();
  if (ran) ran = runner_.run_retries(std::move(due));
  for (const auto stream : follows())
    if (ran) ran = make_room(stream);
  lanes_.set_all_traces_are_read(false);
  tell_what_is_kept();
  if (const auto saved = save(); !saved) return saved;
  const auto in_use = [this](const std::string& trace_id) { return lanes_.has(trace_id); };
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
  if (taken) {
    const auto marked = mark(*taken);
    if (!marked) return marked.error();
    if (!*marked) taken = marked->error();
  }
  if (!taken && !ended_before) {
    if (const auto buried = write_dead_letter_(poison(record, taken.error().reason, name(), clock_.now())); !buried)
      return buried;
    refused_total_.Increment();
  }
  marks_.set_known(of, record.offset + 1);
  places_.read(of, record.offset);
  if (ended_before) return {};
  if (!taken) {
    places_.end(of, record.offset, SinkPlaces::Fate::dead);
    return {};
  }
  lanes_.add(taken->trace_id, std::move(taken->job));
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
  mlflow::TraceNews news{trace->deleted, mlflow::removed_tags(trace->info)};
  for (const auto& [id, span] : *spans) news.spans.push_back(id);
  Job job{of, record.offset, std::move(news)};
  auto trace_id = trace->trace_id;
  return Taken{std::move(trace_id), std::move(job), std::move(*trace)};
}

// Also of what had ended before: that is what it is read for.
Result<SinkMarks::Taken> MlflowSink::mark(const Taken& taken) {
  const auto& job = taken.job;
  if (taken.trace) {
    oldest_ = std::min(oldest_, taken.trace->accepted_at);
    lanes_.traces_were_read_to(job.of.partition, taken.trace->accepted_at);
    return marks_.take(*taken.trace);
  }
  const auto& assessment = std::get<AssessmentRecord>(job.record);
  oldest_ = std::min(oldest_, assessment.accepted_at);
  return marks_.take(assessment, job.of.partition, job.offset);
}

Result<void> MlflowSink::end(const std::string& trace_id, const Lane& lane, const Job& job, const Written& how) {
  const bool is_dead = how.outcome == Outcome::dead;
  if (is_dead) {
    if (const auto buried = write_dead_letter_(letter_of(trace_id, lane, job, how.why)); !buried) return buried;
    refused_total_.Increment();
    if (job.of.stream == Stream::traces) spans_.was_lost(trace_id);
  }
  using Fate = SinkPlaces::Fate;
  places_.end(job.of, job.offset,
              how.outcome == Outcome::applied ? Fate::applied
              : is_dead                       ? Fate::dead
                                              : Fate::duplicate);
  return {};
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
    TraceRecord trace{.deleted = std::get<mlflow::TraceNews>(job.record).deleted, .trace_id = trace_id};
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

// Where too much waits: the oldest of it are dead letters.
Result<void> MlflowSink::make_room(Stream stream) {
  if (!lanes_.is_full(stream)) return {};
  Result<void> ended;
  std::set<std::string> touched;
  std::size_t buried = 0;
  for (const auto& [since, trace_id, lane, job] : lanes_.longest_waiting(stream, runner_.taken_at())) {
    if (!lanes_.is_full(stream, 0.75)) break;
    const Written how{Outcome::dead, "too many records wait as this one did: " + lane->waits_why};
    ended = end(*trace_id, *lane, *job, how);
    if (!ended) break;
    lanes_.end(*trace_id, *lane, job);
    ++buried;
    touched.insert(*trace_id);
  }
  lanes_.drop_done(touched);
  if (buried > 0) spdlog::warn("event=mlflow_waiting_full stream={} dead_letters={}", name_of(stream), buried);
  return ended;
}

void MlflowSink::tell_what_is_kept() {
  const auto& traces = lanes_.kept(Stream::traces);
  const auto& assessments = lanes_.kept(Stream::assessments);
  waiting_ = lanes_.waiting();
  waiting_gauge_.set(static_cast<double>(waiting_));
  kept_gauge_.set(static_cast<double>(traces.records + assessments.records));
  kept_bytes_gauge_.set(static_cast<double>(traces.bytes + assessments.bytes));
}

Result<void> MlflowSink::save() {
  const auto moved = places_.moved();
  if (moved.empty()) return {};
  if (const auto saved = positions_.save(moved); !saved) return saved;
  places_.saved(moved);
  return {};
}

}  // namespace assay
