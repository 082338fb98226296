#include "storage/sinks/mlflow_sql_batch.hpp"

#include "storage/sinks/poison.hpp"
#include "storage/sinks/sql_text.hpp"

namespace assay {

using Fate = SqlJob::Fate;

SqlJob sql_job(StreamPartition of, Offset offset, std::string_view value) {
  SqlJob job{.of = of, .offset = offset, .value = std::string(value)};
  const LogRecord record{.stream = of.stream, .partition = of.partition, .offset = offset, .key = {}, .value = value};
  const auto take = [&job](auto parsed) {
    if (parsed) {
      job.record = std::move(*parsed);
    } else {
      job.fate = Fate::dead;
      job.problem = parsed.error().reason;
    }
  };
  if (of.stream == Stream::traces)
    take(read_trace(record));
  else
    take(read_assessment(record));
  return job;
}

PgRows SqlBatch::ask(const std::string& sql, std::span<const PgValue> values) {
  auto rows = pg_.exec(sql, values);
  if (!rows) throw PgFailure{rows.error()};
  return std::move(*rows);
}

void SqlBatch::apply(std::vector<SqlJob>& jobs, Waiting waiting) {
  std::vector<SqlJob*> of_traces, of_assessments;
  for (auto& job : jobs) {
    if (job.fate == Fate::dead) continue;
    (std::holds_alternative<TraceRecord>(job.record) ? of_traces : of_assessments).push_back(&job);
  }
  if (!of_traces.empty()) traces(std::move(of_traces));
  // What waited for these traces; its fate is counted already, it only has to be done.
  std::vector<SqlJob> released;
  if (waiting == Waiting::written && !written_.empty()) released = take_waiting_for({written_.begin(), written_.end()});
  std::vector<SqlJob*> trace_changes;
  for (auto& job : released) {
    if (job.fate == Fate::dead) continue;
    (std::holds_alternative<TraceRecord>(job.record) ? trace_changes : of_assessments).push_back(&job);
  }
  if (!trace_changes.empty()) traces(std::move(trace_changes));
  if (!of_assessments.empty()) assessments(std::move(of_assessments));
  if (!touched_.empty()) tag();
  written_.insert(touched_.begin(), touched_.end());
  if (!written_.empty()) invalidate_rollups();
  for (auto& job : released) jobs.push_back(std::move(job));
}

namespace {

std::vector<SqlJob> waited_jobs(const PgRows& rows) {
  std::vector<SqlJob> jobs;
  for (int i = 0; i < rows.size(); ++i) {
    const auto stream = rows.text(i, 0) == name_of(Stream::traces) ? Stream::traces : Stream::assessments;
    auto job = sql_job({stream, static_cast<Partition>(rows.number(i, 1))}, rows.number(i, 2), rows.text(i, 3));
    job.waited = true;
    jobs.push_back(std::move(job));
  }
  return jobs;
}

}  // namespace

std::vector<SqlJob> SqlBatch::take_waiting_for(const std::vector<std::string>& trace_ids) {
  return waited_jobs(
      ask("DELETE FROM assay.waiting WHERE source = $1 AND trace_id = ANY($2::text[]) "
          "RETURNING stream, partition, record_offset, value",
          {source_, sql::array(trace_ids)}));
}

std::vector<SqlJob> SqlBatch::take_ready(int n) {
  return waited_jobs(ask(
      "DELETE FROM assay.waiting w USING (SELECT ctid FROM assay.waiting i WHERE source = $1 AND "
      "(EXISTS (SELECT 1 FROM trace_info t WHERE t.request_id = i.trace_id) OR i.experiment_id IS NOT NULL AND "
      "EXISTS (SELECT 1 FROM experiments e WHERE e.experiment_id = i.experiment_id AND lifecycle_stage = 'active')) "
      "LIMIT " +
          std::to_string(n) +
          " FOR UPDATE SKIP LOCKED) ready WHERE w.ctid = ready.ctid "
          "RETURNING w.stream, w.partition, w.record_offset, w.value",
      {source_}));
}

void SqlBatch::wait(const std::vector<SqlJob*>& jobs) {
  if (jobs.empty()) return;
  PgArray streams, partitions, offsets, traces, experiments, since, values;
  for (auto* job : jobs) {
    job->fate = Fate::waiting;
    streams.add(name_of(job->of.stream));
    partitions.add(std::int64_t(job->of.partition));
    offsets.add(job->offset);
    const auto* trace = std::get_if<TraceRecord>(&job->record);
    traces.add(trace ? trace->trace_id : std::get<AssessmentRecord>(job->record).trace_id);
    // `problem` of a trace that waits is the experiment that it needs.
    experiments.add(trace && !job->problem.empty() ? PgValue(job->problem) : PgValue());
    job->problem.clear();
    const auto accepted = trace ? trace->accepted_at : std::get<AssessmentRecord>(job->record).accepted_at;
    since.add(std::int64_t((job->waited ? accepted : now_).time_since_epoch().count()));
    values.add(job->value);
  }
  ask("INSERT INTO assay.waiting (source, stream, partition, record_offset, trace_id, experiment_id, since_ms, value) "
      "SELECT $1, * FROM unnest($2::text[], $3::int[], $4::bigint[], $5::text[], $6::int[], $7::bigint[], $8::text[]) "
      "ON CONFLICT DO NOTHING",
      {source_, streams.text(), partitions.text(), offsets.text(), traces.text(), experiments.text(), since.text(),
       values.text()});
}

// MLflow keeps sums for whole days that are over, where it was told to; this tells it which days to sum anew. The key
// is locked so that a sum which is being made now, without these rows, does not pass for made.
void SqlBatch::invalidate_rollups() {
  ask("INSERT INTO sql_trace_rollup_rebuild_queue (experiment_id, rollup_day, rollup_family) "
      "SELECT experiment_id, day, family FROM (SELECT DISTINCT experiment_id, "
      "(to_timestamp(timestamp_ms / 1000) AT TIME ZONE 'UTC')::date AS day FROM trace_info "
      "WHERE request_id = ANY($1::text[]) AND timestamp_ms <= $2) d, "
      "(VALUES ('assessment'), ('span_cost'), ('trace_metric')) f (family) ORDER BY 1, 2, 3 "
      "ON CONFLICT (experiment_id, rollup_day, rollup_family) DO UPDATE SET rollup_family = excluded.rollup_family",
      {sql::array(std::vector<std::string>(written_.begin(), written_.end())),
       std::to_string((now_ - std::chrono::hours(24)).time_since_epoch().count())});
}

}  // namespace assay
