// Traces, their tags, metadata and spans.
#include "ops/runtime/parse_number.hpp"
#include "storage/sinks/mlflow_json.hpp"
#include "storage/sinks/mlflow_sql_batch.hpp"
#include "storage/sinks/sql_text.hpp"

namespace assay {

using Fate = SqlJob::Fate;

namespace {

constexpr std::uint64_t spans_read_together_max = 32u << 20;

template <class Map>
std::string keys_of(const Map& map) {
  PgArray out;
  for (const auto& [id, value] : map) out.add(std::string_view(id));
  return out.text();
}

}  // namespace

void SqlBatch::traces(std::vector<SqlJob*> jobs) {
  std::map<std::string, Trace> traces;
  for (auto* job : jobs) traces[std::get<TraceRecord>(job->record).trace_id].jobs.push_back(job);
  load_traces(traces);
  std::vector<std::string> deleted;
  for (auto& [id, trace] : traces) {
    const bool was_deleted = trace.deleted;
    for (auto* job : trace.jobs) merge(trace, *job);
    if (trace.deleted && !was_deleted) deleted.push_back(id);
  }
  load_used(traces);
  for (auto& [id, trace] : traces)
    if (!trace.deleted && trace.changed) settle(id, trace);
  find_anothers(traces);
  if (!deleted.empty()) erase_traces(deleted);
  find_experiments(traces);
  hold_back(traces);
  write_infos(traces);
  write_entries(traces);
  write_spans(traces);
  save_traces(traces);
}

void SqlBatch::load_traces(std::map<std::string, Trace>& traces) {
  const auto rows =
      ask("SELECT trace_id, deleted, known FROM assay.trace_states WHERE trace_id = ANY($1::text[]) ORDER BY trace_id "
          "FOR UPDATE",
          {keys_of(traces)});
  for (int i = 0; i < rows.size(); ++i) {
    auto& trace = traces[std::string(rows.text(i, 0))];
    trace.deleted = rows.truth(i, 1);
    if (trace.deleted) continue;
    auto row = TraceRow::decode(sql::unhex(rows.text(i, 2)));
    if (!row) throw PgFailure{{"XX001", "assay.trace_states holds what can't be read"}};
    trace.row = std::move(*row);
    trace.before = trace.row.info_json(rows.text(i, 0), "", "");
  }
}

void SqlBatch::merge(Trace& trace, SqlJob& job) {
  const auto& record = std::get<TraceRecord>(job.record);
  if (trace.deleted) {
    job.fate = Fate::duplicate;
    return;
  }
  if (record.deleted) {
    trace.deleted = trace.changed = true;
    return;
  }
  const auto refuse = [&job](const Malformed& why) {
    job.fate = Fate::dead;
    job.problem = why.reason;
  };
  const auto spans = spans_of(record);
  if (!spans) return refuse(spans.error());
  decltype(trace.spans) read;
  for (const auto& [id, span] : *spans) {
    auto columns = mlflow::span_columns(span.json);
    if (!columns) return refuse(columns.error());
    read.try_emplace(id, span.rank, std::move(*columns));
  }
  auto merged = trace.row;
  const auto changed = merged.apply(record);
  if (!changed) return refuse(changed.error());
  trace.row = std::move(merged);
  trace.concludes |= !record.spans.empty() && has_usage(trace.row, record.spans);
  for (auto& [id, span] : read) {
    auto [at, added] = trace.spans.try_emplace(id, std::move(span));  // which takes it only where there is none
    if (!added && at->second.first < span.first) at->second = std::move(span);
  }
  for (auto& key : mlflow::removed_tags(record.info)) trace.removed_tags.insert(std::move(key));
  const bool any = *changed || !spans->empty();
  if (!any) job.fate = Fate::duplicate;
  trace.changed |= any;
}

// What their spans are is asked for some traces at a time: a batch that is small may be about traces that are not.
void SqlBatch::load_used(std::map<std::string, Trace>& traces) {
  PgArray all;
  for (const auto& [id, trace] : traces)
    if (trace.concludes && trace.changed && !trace.deleted) all.add(std::string_view(id));
  if (all.size() == 0) return;
  const auto sizes =
      ask("SELECT trace_id, sum(octet_length(content))::bigint FROM spans WHERE trace_id = ANY($1::text[]) GROUP BY 1",
          {all.text()});
  PgArray some;
  std::uint64_t bytes = 0;
  const auto load = [&] {
    const auto rows = ask("SELECT trace_id, content FROM spans WHERE trace_id = ANY($1::text[])", {some.text()});
    for (int i = 0; i < rows.size(); ++i)
      if (const auto columns = mlflow::span_columns(rows.text(i, 1)))
        traces[std::string(rows.text(i, 0))].used[columns->span_id] = columns->usage;
    some = {};
    bytes = 0;
  };
  for (int i = 0; i < sizes.size(); ++i) {
    some.add(sizes.text(i, 0));
    bytes += parse_number<std::uint64_t>(sizes.text(i, 1)).value_or(0);
    if (bytes >= spans_read_together_max) load();
  }
  if (some.size() > 0) load();
}

// From what is known to columns; what can't be written now waits, what never can be is dead.
void SqlBatch::settle(const std::string& id, Trace& trace) {
  const auto refuse = [&](const std::string& problem) {
    for (auto* job : trace.jobs) {
      job->fate = Fate::dead;
      job->problem = problem;
    }
    trace.changed = false;
  };
  for (auto& [id_said, span] : trace.spans) {
    auto& columns = span.second;
    if (trace.concludes) trace.used[columns.span_id] = columns.usage;
    trace.span_columns.push_back(std::move(columns));
  }
  if (trace.concludes) {
    std::vector<SpanUsage> used;
    for (const auto& [span_id, usage] : trace.used) used.push_back(usage);
    conclude_usage(trace.row, std::move(used));
  }
  const auto accepted_at = std::get<TraceRecord>(trace.jobs.front()->record).accepted_at;
  auto columns = mlflow::trace_columns(trace.row.info_json(id, "", ""), trace.span_columns, accepted_at);
  if (!columns) return refuse(columns.error().reason);
  trace.columns = std::move(*columns);
  trace.located = trace.columns.located;
  if (trace.located) trace.experiment_id = experiment_id(trace.columns.experiment);
}

struct SqlBatch::InfoRows {
  PgArray ids, experiments, times, durations, states, requests, questions, answers, names, sessions, tokens[6],
      costs[3];

  void add(const std::string& id, int experiment_id, const mlflow::TraceColumns& row) {
    ids.add(std::string_view(id));
    experiments.add(std::int64_t(experiment_id));
    times.add(row.timestamp_ms);
    durations.add(sql::number(row.duration_ms));
    states.add(std::string_view(row.status));
    requests.add(row.client_request_id);
    questions.add(row.request_preview);
    answers.add(row.response_preview);
    names.add(row.name);
    sessions.add(row.session);
    for (std::size_t i = 0; i < 6; ++i) tokens[i].add(sql::number(row.tokens[i]));
    for (std::size_t i = 0; i < 3; ++i) costs[i].add(sql::number(row.costs[i]));
  }
};

void SqlBatch::write_infos(const std::map<std::string, Trace>& traces) {
  InfoRows rows;
  for (const auto& [id, trace] : traces)
    if (trace.changed && !trace.deleted && trace.located) rows.add(id, trace.experiment_id, trace.columns);
  if (rows.ids.size() == 0) return;
  insert(rows);
  follow_infos(rows.ids.text());
}

void SqlBatch::insert(const InfoRows& rows) {
  ask("INSERT INTO trace_info AS t (request_id, experiment_id, timestamp_ms, execution_time_ms, status, "
      "client_request_id, request_preview, response_preview, trace_name, session_id, input_tokens, output_tokens, "
      "total_tokens, cache_read_input_tokens, cache_creation_input_tokens, cache_creation_input_tokens_above_1hr, "
      "input_cost, output_cost, total_cost) SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[], "
      "$5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::bigint[], $12::bigint[], "
      "$13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[], $17::float8[], $18::float8[], $19::float8[]) "
      "ON CONFLICT (request_id) DO UPDATE SET experiment_id = excluded.experiment_id, "
      "timestamp_ms = excluded.timestamp_ms, execution_time_ms = COALESCE(excluded.execution_time_ms, "
      "t.execution_time_ms), status = excluded.status, client_request_id = COALESCE(excluded.client_request_id, "
      "t.client_request_id), request_preview = COALESCE(excluded.request_preview, t.request_preview), "
      "response_preview = COALESCE(excluded.response_preview, t.response_preview), "
      "trace_name = COALESCE(excluded.trace_name, t.trace_name), "
      "session_id = COALESCE(excluded.session_id, t.session_id), "
      "input_tokens = COALESCE(excluded.input_tokens, t.input_tokens), "
      "output_tokens = COALESCE(excluded.output_tokens, t.output_tokens), "
      "total_tokens = COALESCE(excluded.total_tokens, t.total_tokens), "
      "cache_read_input_tokens = COALESCE(excluded.cache_read_input_tokens, t.cache_read_input_tokens), "
      "cache_creation_input_tokens = COALESCE(excluded.cache_creation_input_tokens, t.cache_creation_input_tokens), "
      "cache_creation_input_tokens_above_1hr = COALESCE(excluded.cache_creation_input_tokens_above_1hr, "
      "t.cache_creation_input_tokens_above_1hr), input_cost = COALESCE(excluded.input_cost, t.input_cost), "
      "output_cost = COALESCE(excluded.output_cost, t.output_cost), "
      "total_cost = COALESCE(excluded.total_cost, t.total_cost)",
      {rows.ids.text(), rows.experiments.text(), rows.times.text(), rows.durations.text(), rows.states.text(),
       rows.requests.text(), rows.questions.text(), rows.answers.text(), rows.names.text(), rows.sessions.text(),
       rows.tokens[0].text(), rows.tokens[1].text(), rows.tokens[2].text(), rows.tokens[3].text(),
       rows.tokens[4].text(), rows.tokens[5].text(), rows.costs[0].text(), rows.costs[1].text(), rows.costs[2].text()});
}

// What is kept twice.
void SqlBatch::follow_infos(const std::string& ids) {
  ask("UPDATE assessments a SET experiment_id = t.experiment_id, trace_timestamp_ms = t.timestamp_ms FROM trace_info t "
      "WHERE t.request_id = ANY($1::text[]) AND a.trace_id = t.request_id AND (a.experiment_id, a.trace_timestamp_ms) "
      "IS DISTINCT FROM (t.experiment_id, t.timestamp_ms)",
      {ids});
  ask("UPDATE spans s SET experiment_id = t.experiment_id FROM trace_info t WHERE t.request_id = ANY($1::text[]) AND "
      "s.trace_id = t.request_id AND s.experiment_id <> t.experiment_id",
      {ids});
  ask("INSERT INTO trace_tags (request_id, key, value) SELECT t.request_id, 'mlflow.artifactLocation', "
      "rtrim(e.artifact_location, '/') || '/traces/' || t.request_id || '/artifacts' FROM trace_info t "
      "JOIN experiments e USING (experiment_id) WHERE t.request_id = ANY($1::text[]) ORDER BY 1 "
      "ON CONFLICT (request_id, key) DO UPDATE SET value = excluded.value WHERE trace_tags.value <> excluded.value",
      {ids});
}

// Tags and metadata that this batch has changed: what somebody changed in MLflow itself stays.
void SqlBatch::write_entries(const std::map<std::string, Trace>& traces) {
  struct Rows {
    PgArray ids, keys, values;
  } tags, metadata, removed;
  PgArray renamed, names;
  const auto add = [](Rows& rows, const std::string& id, std::string_view key, std::string_view value) {
    rows.ids.add(std::string_view(id));
    rows.keys.add(key);
    rows.values.add(value);
  };
  for (const auto& [id, trace] : traces) {
    if (!trace.changed || trace.deleted) continue;
    mlflow::TraceColumns before;
    if (!trace.before.empty())
      if (auto known = mlflow::trace_columns(trace.before, {}, now_)) before = std::move(*known);
    for (const auto& [key, value] : trace.columns.tags)
      if (const auto was = before.tags.find(key); was == before.tags.end() || was->second != value)
        add(tags, id, key, value);
    for (const auto& key : trace.removed_tags)
      if (!trace.columns.tags.contains(key)) add(removed, id, key, "");
    // Of a tag that has a column of its own, what was not written with the others: that it is gone, and that it is all
    // that is known.
    const bool is_unnamed = !trace.columns.name && trace.removed_tags.contains("mlflow.traceName");
    if (is_unnamed || (!trace.located && !trace.anothers && trace.columns.name != before.name)) {
      renamed.add(std::string_view(id));
      names.add(trace.columns.name);
    }
    if (!trace.located) continue;
    for (const auto& [key, value] : trace.columns.metadata)
      if (const auto was = before.metadata.find(key); was == before.metadata.end() || was->second != value)
        add(metadata, id, key, value);
    const bool ended = trace.columns.status == "OK" || trace.columns.status == "ERROR";
    if (ended && !trace.columns.metadata.contains("mlflow.trace.infoFinalized"))
      add(metadata, id, "mlflow.trace.infoFinalized", "true");
  }
  for (const auto& [table, rows] : {std::pair{"trace_tags", &tags}, std::pair{"trace_request_metadata", &metadata}})
    if (rows->ids.size() > 0)
      ask(std::string("INSERT INTO ") + table +
              " (request_id, key, value) SELECT * FROM unnest($1::text[], "
              "$2::text[], $3::text[]) ON CONFLICT (request_id, key) DO UPDATE SET value = excluded.value",
          {rows->ids.text(), rows->keys.text(), rows->values.text()});
  if (removed.ids.size() > 0)
    ask("DELETE FROM trace_tags t USING unnest($1::text[], $2::text[]) r (id, key) "
        "WHERE t.request_id = r.id AND t.key = r.key",
        {removed.ids.text(), removed.keys.text()});
  if (renamed.size() > 0)
    ask("UPDATE trace_info t SET trace_name = r.name FROM unnest($1::text[], $2::text[]) r (id, name) "
        "WHERE t.request_id = r.id",
        {renamed.text(), names.text()});
}

struct SqlBatch::SpanRows {
  PgArray trace_ids, experiments, ids, parents, names, types, states, starts, ends, contents, models, providers,
      costs[3];

  void add(std::string_view trace_id, std::string_view experiment_id, const mlflow::SpanColumns& span) {
    trace_ids.add(trace_id);
    experiments.add(experiment_id);
    ids.add(std::string_view(span.span_id));
    parents.add(span.parent_span_id);
    names.add(std::string_view(span.name));
    types.add(span.type);
    states.add(std::string_view(span.status));
    starts.add(span.start_ns);
    ends.add(sql::number(span.end_ns));
    contents.add(std::string_view(span.content));
    models.add(span.model);
    providers.add(span.provider);
    for (std::size_t i = 0; i < 3; ++i) costs[i].add(sql::number(span.costs[i]));
  }
};

void SqlBatch::write_spans(const std::map<std::string, Trace>& traces) {
  PgArray with_spans;
  for (const auto& [id, trace] : traces)
    if (trace.changed && !trace.deleted && !trace.span_columns.empty()) with_spans.add(std::string_view(id));
  if (with_spans.size() == 0) return;
  // A trace that MLflow has moved into its archive takes no more spans; the others' readers are told by the generation.
  const auto open = ask(
      "UPDATE trace_info t SET db_payload_generation = db_payload_generation + 1 WHERE request_id = ANY($1::text[]) "
      "AND NOT EXISTS (SELECT 1 FROM trace_tags g WHERE g.request_id = t.request_id AND "
      "g.key = 'mlflow.trace.spansLocation' AND g.value <> 'TRACKING_STORE') RETURNING request_id, experiment_id",
      {with_spans.text()});
  PgArray marked;
  SpanRows rows;
  for (int i = 0; i < open.size(); ++i) {
    marked.add(open.text(i, 0));
    for (const auto& span : traces.at(std::string(open.text(i, 0))).span_columns)
      rows.add(open.text(i, 0), open.text(i, 1), span);
  }
  if (marked.size() == 0) return;
  insert(rows);
  ask("INSERT INTO trace_tags (request_id, key, value) SELECT id, 'mlflow.trace.spansLocation', 'TRACKING_STORE' "
      "FROM unnest($1::text[]) m (id) ON CONFLICT DO NOTHING",
      {marked.text()});
}

void SqlBatch::insert(const SpanRows& rows) {
  ask("INSERT INTO spans AS s (trace_id, experiment_id, span_id, parent_span_id, name, type, status, "
      "start_time_unix_nano, end_time_unix_nano, content, model_name, model_provider, input_cost, output_cost, "
      "total_cost) SELECT * FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[], "
      "$7::text[], $8::bigint[], $9::bigint[], $10::text[], $11::text[], $12::text[], $13::float8[], $14::float8[], "
      "$15::float8[]) ON CONFLICT (trace_id, span_id) DO UPDATE SET parent_span_id = excluded.parent_span_id, "
      "name = excluded.name, type = excluded.type, status = excluded.status, "
      "start_time_unix_nano = excluded.start_time_unix_nano, end_time_unix_nano = excluded.end_time_unix_nano, "
      "content = excluded.content, model_name = excluded.model_name, model_provider = excluded.model_provider, "
      "input_cost = excluded.input_cost, output_cost = excluded.output_cost, total_cost = excluded.total_cost "
      "WHERE s.end_time_unix_nano IS NULL OR excluded.end_time_unix_nano IS NOT NULL",
      {rows.trace_ids.text(), rows.experiments.text(), rows.ids.text(), rows.parents.text(), rows.names.text(),
       rows.types.text(), rows.states.text(), rows.starts.text(), rows.ends.text(), rows.contents.text(),
       rows.models.text(), rows.providers.text(), rows.costs[0].text(), rows.costs[1].text(), rows.costs[2].text()});
}

// What is known of them, for the next batches.
void SqlBatch::save_traces(const std::map<std::string, Trace>& traces) {
  PgArray ids, tombstones, known;
  for (const auto& [id, trace] : traces) {
    if (!trace.changed) continue;
    ids.add(std::string_view(id));
    tombstones.add(trace.deleted);
    known.add(std::string_view(trace.deleted ? "" : sql::hex(trace.row.encode())));
    if (!trace.deleted) written_.insert(id);
  }
  if (ids.size() > 0)
    ask("INSERT INTO assay.trace_states SELECT * FROM unnest($1::text[], $2::boolean[], $3::bytea[]) "
        "ON CONFLICT (trace_id) DO UPDATE SET deleted = excluded.deleted, known = excluded.known",
        {ids.text(), tombstones.text(), known.text()});
}

// With everything that was said of them, also what waits.
void SqlBatch::erase_traces(const std::vector<std::string>& ids) {
  const auto list = sql::array(ids);
  ask("INSERT INTO sql_trace_rollup_rebuild_queue SELECT experiment_id, day, family FROM (SELECT DISTINCT "
      "experiment_id, (to_timestamp(timestamp_ms / 1000) AT TIME ZONE 'UTC')::date AS day FROM trace_info "
      "WHERE request_id = ANY($1::text[]) AND timestamp_ms <= $2) d, (VALUES ('assessment'), ('span_cost'), "
      "('trace_metric')) f (family) ON CONFLICT DO NOTHING",
      {list, std::to_string((now_ - std::chrono::hours(24)).time_since_epoch().count())});
  // Also what changed of assessments: words. Nothing said of these traces counts any more, whatever it is.
  ask("DELETE FROM assay.assessment_states s WHERE NOT deleted AND (trace_id = ANY($1::text[]) OR trace_id IS NULL AND "
      "assessment_id IN (SELECT assessment_id FROM assessments WHERE trace_id = ANY($1::text[])))",
      {list});
  ask("DELETE FROM trace_info WHERE request_id = ANY($1::text[])", {list});
  ask("DELETE FROM review_queue_items WHERE item_type = 'trace' AND item_id = ANY($1::text[])", {list});
  ask("DELETE FROM assay.waiting WHERE source = $1 AND trace_id = ANY($2::text[])", {source_, list});
}

}  // namespace assay
