#include "storage/sinks/mlflow_rest.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>

#include "ops/runtime/log.hpp"
#include "storage/sinks/mlflow_json.hpp"
#include "storage/sinks/poison.hpp"
#include "storage/store/feedback_tag.hpp"
#include "storage/store/raw_json.hpp"

namespace assay {
namespace {

std::string trace_path(std::string_view trace_id) { return "/api/3.0/mlflow/traces/" + percent_encoded(trace_id); }
std::string tags_path(std::string_view trace_id) {
  return "/api/2.0/mlflow/traces/" + percent_encoded(trace_id) + "/tags";
}
std::string assessment_path(const AssessmentRecord& record) {
  return trace_path(record.trace_id) + "/assessments/" + percent_encoded(record.assessment_id);
}

}  // namespace

MlflowSink::MlflowSink(MlflowSinkConfig config, PositionStore& positions, Bury bury, const Clock& clock,
                       Metrics& metrics)
    : config_(std::move(config)),
      positions_(positions),
      bury_(std::move(bury)),
      clock_(clock),
      waiting_gauge_(metrics.gauge("assay_mlflow_waiting_records",
                                   "Assessments that wait for their trace, changes that wait for their create")),
      kept_gauge_(metrics.gauge("assay_mlflow_kept_records", "Records in memory that are not finished")),
      refused_total_(metrics.counter("assay_mlflow_refused_total", "Records that became dead letters")),
      client_(config_.mlflow) {
  for (std::size_t i = 0; i < config_.requests_max; ++i)
    cancels_.push_back(std::make_unique<asio::cancellation_signal>());
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
  std::scoped_lock lock(mutex_);
  auto& place = places_[of];
  if (place.read_to > 0) return place.position();  // the source is opened again: what is kept is not taken twice
  place.read_to = place.saved = *next;
  return next;
}

Offset MlflowSink::applied(StreamPartition of) const {
  std::scoped_lock lock(mutex_);
  const auto at = places_.find(of);
  return at == places_.end() ? 0 : at->second.position();
}

SinkLedger MlflowSink::ledger() const {
  std::scoped_lock lock(mutex_);
  return ledger_;
}

Result<void> MlflowSink::apply(std::span<const LogRecord> records) {
  for (const auto& record : records)
    if (const auto taken = take(record); !taken) return taken;
  const auto now = clock_.now();
  for (auto& [trace_id, lane] : lanes_)
    if (lane.retry_at && *lane.retry_at <= now) make_ready(trace_id, lane);
  const auto ran = run_ready();
  std::int64_t waiting = 0;
  for (const auto& [id, lane] : lanes_)
    if (lane.retry_at) waiting += std::ssize(lane.assessments);
  waiting_ = waiting;
  waiting_gauge_.Set(static_cast<double>(waiting));
  kept_gauge_.Set(static_cast<double>(kept_));
  if (const auto saved = save(); !saved) return saved;
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
    if (parsed && is_json(parsed->json))
      job.emplace(Job{of, record.offset, std::move(*parsed)});
    else
      problem = parsed ? "assessment is not valid JSON" : parsed.error().reason;
  } else {
    auto parsed = read_trace(record);
    if (parsed)
      job.emplace(Job{of, record.offset, std::move(*parsed)});
    else
      problem = parsed.error().reason;
  }
  if (!job)
    if (const auto buried = bury_(poison(record, problem, name(), clock_.now())); !buried) return buried;
  {
    std::scoped_lock lock(mutex_);
    auto& place = places_[of];
    place.read_to = record.offset + 1;
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
  if (stopped_) return make_error_code(Error::stopped);
  if (ready_.empty()) return {};
  context_.restart();
  const auto workers = std::min(config_.requests_max, ready_.size());
  for (std::size_t i = 0; i < workers; ++i) {
    ++running_;
    asio::co_spawn(context_, work(), asio::bind_cancellation_slot(cancels_[i]->slot(), [this](std::exception_ptr e) {
                     --running_;
                     if (e) failure_ = Error::storage_failed;
                   }));
  }
  while (running_ > 0 && context_.run_one() > 0) {
  }
  if (stopped_) return make_error_code(Error::stopped);
  if (failure_) return failure_;
  return {};
}

Task<void> MlflowSink::work() {
  while (!failure_ && !stopped_ && !ready_.empty()) {
    const std::string trace_id = std::move(ready_.front());
    ready_.pop_front();
    auto& lane = lanes_.at(trace_id);  // stays where it is: only settle() erases, when nobody runs it
    try {
      co_await run(trace_id, lane);
    } catch (const std::exception& e) {  // cancelled, or nothing that anybody foresaw: the lane is tried again
      failure_ = Error::storage_failed;
      if (!stopped_) spdlog::error("mlflow_sink_threw what=\"{}\"", e.what());
    }
    settle(trace_id);
  }
}

// After a run: gone when it is empty, back in the row after a failure, otherwise it waits.
void MlflowSink::settle(const std::string& trace_id) {
  auto& lane = lanes_.at(trace_id);
  lane.queued = false;
  if (lane.traces.empty() && lane.assessments.empty() && !lane.untagged) {
    lanes_.erase(trace_id);
  } else if (failure_ || stopped_) {
    make_ready(trace_id, lane);
  } else {
    const auto doubled = config_.retry_first * (1 << std::min(lane.tries++, 10));
    lane.retry_at = clock_.now() + std::min<std::chrono::milliseconds>(doubled, config_.retry_most);
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
      auto done = co_await say(record, why);
      if (done == Done::waits && expired(*at, why)) done = Done::dead;
      if (done == Done::again) co_return;
      if (done == Done::waits) {
        if (record.op == Op::create) break;  // the trace is not there: nothing else of it will be
        blocked.insert(record.assessment_id);
        ++at;
        continue;
      }
      if (!finish(*at, done, why)) co_return;
      lane.untagged |= done == Done::applied && config_.tag_traces;
      again |= record.op == Op::create && blocked.contains(record.assessment_id);
      at = lane.assessments.erase(at);
      lane.tries = 0;
    }
  }
  if (lane.untagged) co_await tag(trace_id, lane);
}

// False: MLflow failed.
Task<bool> MlflowSink::run_traces(const std::string&, Lane& lane) {
  while (!lane.traces.empty()) {
    auto& job = lane.traces.front();
    std::string why;
    auto done = co_await say(std::get<TraceRecord>(job.record), why);
    if (done == Done::waits) done = expired(job, why) ? Done::dead : Done::waits;
    if (done == Done::again) co_return false;
    // Only tags of a trace that is not there wait; a record behind them may start it.
    if (done == Done::waits) {
      const auto starts = [](const Job& later) {
        const auto& record = std::get<TraceRecord>(later.record);
        const auto facts = mlflow::facts_of(record);
        return record.deleted || !facts || facts->located;
      };
      const auto first = std::find_if(lane.traces.begin() + 1, lane.traces.end(), starts);
      if (first == lane.traces.end()) break;
      std::rotate(lane.traces.begin(), first, first + 1);
      continue;
    }
    if (!finish(job, done, why)) co_return false;
    lane.traces.pop_front();
    lane.tries = 0;
  }
  co_return true;
}

Task<MlflowSink::Done> MlflowSink::say(const TraceRecord& trace, std::string& why) {
  const auto gone = positions_.ended(trace.trace_id);
  if (!gone) failure_ = gone.error();
  if (!gone) co_return Done::again;
  if (trace.deleted) {
    if (!*gone)
      if (const auto marked = positions_.end(trace.trace_id); !marked) {
        failure_ = marked.error();
        co_return Done::again;
      }
    co_return co_await erase(trace.trace_id, why);
  }
  if (*gone) co_return Done::duplicate;
  co_return co_await start(trace, why);
}

Task<MlflowSink::Done> MlflowSink::start(const TraceRecord& trace, std::string& why) {
  const auto facts = mlflow::facts_of(trace);
  if (!facts) {
    why = facts.error().reason;
    co_return Done::dead;
  }
  if (!facts->located) {
    for (auto& body : mlflow::tag_bodies(trace)) {
      auto path = tags_path(trace.trace_id);
      auto answer = co_await client_.ask("PATCH", std::move(path), std::move(body));
      // A tag of a trace that is not there breaks a foreign key.
      const bool missing =
          answer.kind == MlflowAnswer::Kind::refused && answer.message.find("IntegrityError") != answer.message.npos;
      if (missing) answer.kind = MlflowAnswer::Kind::not_found;
      const auto done = judge(answer, why);
      if (done != Done::applied) co_return done;
    }
    co_return Done::applied;
  }
  auto name = facts->experiment;
  const auto experiment = co_await client_.experiment(std::move(name));
  if (experiment.kind != MlflowAnswer::Kind::ok) co_return judge(experiment, why);
  // Starting a trace anew replaces its tags: what was said of it so far must stay.
  std::string feedback;
  if (config_.tag_traces) {
    auto path = trace_path(trace.trace_id);
    const auto before = co_await client_.ask("GET", std::move(path));
    if (before.kind == MlflowAnswer::Kind::unavailable) co_return judge(before, why);
    if (const auto seen = mlflow::seen_trace(before.body)) feedback = seen->wanted_tag;
  }
  auto body = mlflow::start_trace(trace, experiment.body, feedback);
  const auto started = co_await client_.ask("POST", "/api/3.0/mlflow/traces", std::move(body));
  if (started.kind != MlflowAnswer::Kind::ok) co_return judge(started, why);
  if (facts->final && !trace.spans.empty()) {
    auto path = "/api/2.0/mlflow-artifacts/artifacts/" + experiment.body + "/traces/" +
                percent_encoded(trace.trace_id) + "/artifacts/traces.json";
    auto spans = mlflow::spans_artifact(trace);
    const auto put = co_await client_.ask("PUT", std::move(path), std::move(spans));
    if (put.kind != MlflowAnswer::Kind::ok) co_return judge(put, why);
  }
  co_return Done::applied;
}

Task<MlflowSink::Done> MlflowSink::erase(const std::string& trace_id, std::string& why) {
  auto path = trace_path(trace_id);
  const auto before = co_await client_.ask("GET", std::move(path));
  if (before.kind == MlflowAnswer::Kind::not_found) co_return Done::duplicate;
  const auto seen = before.kind == MlflowAnswer::Kind::ok ? mlflow::seen_trace(before.body) : std::nullopt;
  if (!seen) co_return judge(before, why);
  auto body = mlflow::delete_trace(seen->experiment_id, trace_id);
  const auto erased = co_await client_.ask("POST", "/api/2.0/mlflow/traces/delete-traces", std::move(body));
  co_return judge(erased, why);
}

Task<MlflowSink::Done> MlflowSink::say(const AssessmentRecord& record, std::string& why) {
  // Nothing of a deleted trace, or of a deleted assessment, comes back.
  for (const auto* id : {&record.trace_id, &record.assessment_id}) {
    const auto gone = positions_.ended(*id);
    if (!gone) failure_ = gone.error();
    if (!gone) co_return Done::again;
    if (*gone && (id == &record.trace_id || record.op != Op::erase)) co_return Done::duplicate;
  }
  if (record.op == Op::create) co_return co_await create(record, why);
  auto path = assessment_path(record);
  if (record.op == Op::erase) {
    if (const auto marked = positions_.end(record.assessment_id); !marked) {
      failure_ = marked.error();
      co_return Done::again;
    }
    auto body = mlflow::delete_assessment(record);
    const auto erased = co_await client_.ask("DELETE", std::move(path), std::move(body));
    if (erased.kind == MlflowAnswer::Kind::not_found) co_return Done::applied;  // the mark is what it came to make
    co_return judge(erased, why);
  }
  auto body = mlflow::update_assessment(record);
  if (!body) co_return Done::duplicate;
  const auto updated = co_await client_.ask("PATCH", std::move(path), std::move(*body));
  co_return judge(updated, why);
}

Task<MlflowSink::Done> MlflowSink::create(const AssessmentRecord& record, std::string& why) {
  auto path = trace_path(record.trace_id) + "/assessments";
  auto body = mlflow::create_assessment(record);
  const auto created = co_await client_.ask("POST", std::move(path), std::move(body));
  if (created.kind != MlflowAnswer::Kind::exists) co_return judge(created, why);
  auto that = assessment_path(record);
  const auto seen = co_await client_.ask("GET", std::move(that));
  if (seen.kind == MlflowAnswer::Kind::ok) co_return Done::duplicate;
  if (seen.kind == MlflowAnswer::Kind::not_found) failure_ = Error::log_unavailable;  // not it; try anew
  co_return seen.kind == MlflowAnswer::Kind::not_found ? Done::again : judge(seen, why);
}

Task<void> MlflowSink::tag(const std::string& trace_id, Lane& lane) {
  auto path = trace_path(trace_id);
  auto answer = co_await client_.ask("GET", std::move(path));
  const auto seen = answer.kind == MlflowAnswer::Kind::ok ? mlflow::seen_trace(answer.body) : std::nullopt;
  if (seen && seen->wanted_tag != seen->tag) {
    auto tags = tags_path(trace_id);
    auto body = mlflow::tag_body(feedback_tag_name, seen->wanted_tag);
    answer = co_await client_.ask("PATCH", std::move(tags), std::move(body));
  }
  std::string why;
  lane.untagged = judge(answer, why) == Done::again;
}

MlflowSink::Done MlflowSink::judge(const MlflowAnswer& answer, std::string& why) {
  why = answer.message;
  switch (answer.kind) {
    case MlflowAnswer::Kind::ok:
      return Done::applied;
    case MlflowAnswer::Kind::not_found:
      return Done::waits;
    case MlflowAnswer::Kind::refused:
      return Done::dead;
    case MlflowAnswer::Kind::exists:
    case MlflowAnswer::Kind::unavailable:
      break;
  }
  if (!failure_) {
    failure_ = Error::timed_out;
    if (!stopped_) spdlog::warn("mlflow_unavailable answer=\"{}\"", answer.message);
  }
  return Done::again;
}

bool MlflowSink::expired(Job& job, const std::string& why) {
  const auto now = clock_.now();
  if (!job.waits_since) job.waits_since = now;
  job.waits_why = why;
  return now - *job.waits_since >= config_.wait_max;
}

// False: the dead letter could not be written; the record stays.
bool MlflowSink::finish(const Job& job, Done done, const std::string& why) {
  const auto* assessment = std::get_if<AssessmentRecord>(&job.record);
  if (done == Done::dead) {
    DeadLetter dead{.reason = std::string(dead_reason::refused), .detail = "MLflow answered " + why};
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
    if (const auto buried = bury_(std::move(dead)); !buried) {
      failure_ = buried.error();
      return false;
    }
    refused_total_.Increment();
  }
  std::scoped_lock lock(mutex_);
  places_[job.of].unfinished.erase(job.offset);
  --kept_;
  if (assessment) ++(done == Done::applied ? ledger_.applied : done == Done::dead ? ledger_.dead : ledger_.duplicate);
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
