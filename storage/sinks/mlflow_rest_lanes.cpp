#include "storage/sinks/mlflow_rest_lanes.hpp"

#include <algorithm>

namespace assay {
namespace mlflow {

TraceNews Lane::news() const {
  TraceNews all;
  for (const auto& job : traces) {
    const auto& news = std::get<TraceNews>(job.record);
    all.removed_tags.insert(all.removed_tags.end(), news.removed_tags.begin(), news.removed_tags.end());
    all.spans.insert(all.spans.end(), news.spans.begin(), news.spans.end());
  }
  return all;
}

std::chrono::milliseconds age(Instant& since, Instant now) {
  since = std::min(since, now);
  return now - since;
}

}  // namespace mlflow

namespace {

using mlflow::Job, mlflow::Lane, mlflow::Outcome;

constexpr std::size_t retries_max = 256;  // of one turn

// With what its place in a lane takes.
std::size_t bytes_of(const Job& job) {
  std::size_t n = sizeof(Job) + sizeof(Lane);
  if (const auto* news = std::get_if<mlflow::TraceNews>(&job.record)) {
    for (const auto* texts : {&news->removed_tags, &news->spans})
      for (const auto& text : *texts) n += sizeof(text) + text.size();
    return n;
  }
  const auto& a = std::get<AssessmentRecord>(job.record);
  return n + a.json.size() + a.assessment_id.size() + 2 * a.trace_id.size() + a.record_id.size() +
         a.client_request_id.size();
}

}  // namespace

void MlflowLanes::Kept::add(const Job& job) {
  ++records;
  bytes += bytes_of(job);
}

void MlflowLanes::Kept::remove(const Job& job) {
  --records;
  bytes -= bytes_of(job);
}

void MlflowLanes::add(const std::string& trace_id, Job job) {
  kept_of(job.of.stream).add(job);
  place(trace_id, std::move(job));
}

void MlflowLanes::place(const std::string& trace_id, Job job) {
  const auto* assessment = std::get_if<AssessmentRecord>(&job.record);
  if (assessment && assessment->op == Op::create) {
    auto& first = creates_.try_emplace(assessment->assessment_id, FirstCreate{trace_id}).first->second;
    if (first.trace_id != trace_id) {
      first.behind.emplace_back(trace_id, std::move(job));
      return;
    }
  }
  auto& lane = lanes_[trace_id];
  lane.jobs(job.of.stream).push_back(std::move(job));
  make_ready(trace_id, lane);
}

// After a create has ended, or had to wait.
void MlflowLanes::let_next_in(const std::string& trace_id, const Job& job) {
  const auto* assessment = std::get_if<AssessmentRecord>(&job.record);
  if (!assessment || assessment->op != Op::create) return;
  const auto first = creates_.find(assessment->assessment_id);
  if (first == creates_.end() || first->second.trace_id != trace_id) return;
  auto behind = std::move(first->second.behind);
  creates_.erase(first);
  for (auto& [its_trace, next] : behind) place(its_trace, std::move(next));
}

MlflowLanes::Jobs::iterator MlflowLanes::end(const std::string& trace_id, Lane& lane, Jobs::iterator at) {
  let_next_in(trace_id, *at);
  kept_of(at->of.stream).remove(*at);
  return lane.jobs(at->of.stream).erase(at);
}

Outcome MlflowLanes::wait(const std::string& trace_id, Lane& lane, Job& job, const mlflow::Written& said,
                          Instant taken_at) {
  if (!has_to_wait(said.outcome)) return said.outcome;
  if (!job.waits_since) {
    job.waits_since = clock_.now();
    let_next_in(trace_id, job);
  }
  lane.waits_why = said.why;
  const bool over = mlflow::age(*job.waits_since, clock_.now()) >= config_.wait_max;
  return over && (said.outcome == Outcome::waits || taken_at > *job.waits_since) ? Outcome::dead : said.outcome;
}

void MlflowLanes::make_ready(const std::string& trace_id, Lane& lane) {
  lane.retry_at.reset();
  lane.soon = false;
  if (lane.queued) return;
  lane.queued = true;
  ready_.push_back(trace_id);
}

std::string MlflowLanes::take_next() {
  auto trace_id = std::move(ready_.front());
  ready_.pop_front();
  lanes_.at(trace_id).retry_at.reset();
  return trace_id;
}

void MlflowLanes::settle(const std::string& trace_id, bool failed) {
  auto& lane = lanes_.at(trace_id);
  lane.queued = false;
  if (lane.is_done()) {
    lanes_.erase(trace_id);
  } else if (failed) {
    make_ready(trace_id, lane);
  } else if (!lane.retry_at) {
    const auto doubled = config_.retry_first * (1 << std::min(lane.tries++, 10));
    lane.retry_at = clock_.now() + std::min<std::chrono::milliseconds>(doubled, config_.retry_max);
  }
}

std::vector<std::string> MlflowLanes::find_due() {
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

void MlflowLanes::begin_retries(std::vector<std::string> due) {
  for (auto& trace_id : due) {
    const auto lane = lanes_.find(trace_id);
    if (lane == lanes_.end()) continue;  // a create that came in made it ready, and all of it has ended since
    lane->second.queued = true;
    ready_.push_back(std::move(trace_id));
  }
}

void MlflowLanes::end_retries(Instant begun) {
  std::erase_if(ready_, [this](const std::string& trace_id) {  // not reached: it waits on
    auto& lane = lanes_.at(trace_id);
    if (!lane.retry_at) return false;
    lane.queued = false;
    return true;
  });
  const auto now = clock_.now();
  retries_at_ = now + std::clamp(3 * (now - begun), Instant::duration(0), Instant::duration(config_.retry_max));
}

bool MlflowLanes::is_full(Stream stream, double share) const {
  const auto& of = kept(stream);
  return static_cast<double>(of.records) >= share * static_cast<double>(config_.records_max) ||
         static_cast<double>(of.bytes) >= share * static_cast<double>(config_.bytes_max);
}

// Whether what it waits for may yet come by itself: its trace stands in the log behind what was read of it, or MLflow
// is in trouble.
bool MlflowLanes::may_come(const Lane& lane, Job& job, Instant taken_at) const {
  if (lane.unanswered && taken_at <= *job.waits_since) return true;
  if (job.of.stream == Stream::traces) return false;
  if (mlflow::age(*job.waits_since, clock_.now()) < config_.full_after) return true;
  // Its own time says nothing: what was early was accepted before its trace. But its id had been told when it came.
  const auto to = traces_to_.find(job.of.partition);
  return !traces_are_read_ && (to == traces_to_.end() || to->second <= *job.waits_since);
}

std::vector<MlflowLanes::Waiting> MlflowLanes::longest_waiting(Stream stream, Instant taken_at) {
  std::vector<Waiting> waiting;
  for (auto& [trace_id, lane] : lanes_) {
    auto& jobs = lane.jobs(stream);
    for (auto at = jobs.begin(); at != jobs.end(); ++at)
      if (at->waits_since && !may_come(lane, *at, taken_at))
        waiting.push_back({*at->waits_since, &trace_id, &lane, at});
  }
  std::stable_sort(waiting.begin(), waiting.end(), [](const auto& a, const auto& b) { return a.since < b.since; });
  return waiting;
}

void MlflowLanes::drop_done(const std::set<std::string>& trace_ids) {
  for (const auto& trace_id : trace_ids)
    if (lanes_.at(trace_id).is_done()) lanes_.erase(trace_id);
}

std::int64_t MlflowLanes::waiting() const {
  std::int64_t waiting = 0;
  for (const auto& [id, lane] : lanes_)
    if (lane.retry_at) waiting += std::ranges::count_if(lane.assessments, [](const Job& job) { return !job.said; });
  return waiting;
}

}  // namespace assay
