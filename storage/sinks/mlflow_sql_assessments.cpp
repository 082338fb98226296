// Assessments.
#include "storage/sinks/mlflow_sql_batch.hpp"
#include "storage/sinks/sql_text.hpp"

namespace assay {

using Fate = SqlJob::Fate;

void SqlBatch::assessments(std::vector<SqlJob*> jobs) {
  std::map<std::string, Assessment> assessments;
  load_assessments(assessments, jobs);
  erase(assessments);
  create(assessments);
  change(assessments);
  save_assessments(assessments);
}

void SqlBatch::load_assessments(std::map<std::string, Assessment>& assessments, const std::vector<SqlJob*>& jobs) {
  PgArray ids, trace_ids;
  for (const auto* job : jobs) {
    const auto& record = std::get<AssessmentRecord>(job->record);
    ids.add(std::string_view(record.assessment_id));
    trace_ids.add(std::string_view(record.trace_id));
  }
  std::set<std::string> gone;
  const auto traces =
      ask("SELECT trace_id FROM assay.trace_states WHERE trace_id = ANY($1::text[]) AND deleted", {trace_ids.text()});
  for (int i = 0; i < traces.size(); ++i) gone.emplace(traces.text(i, 0));
  const auto rows =
      ask("SELECT assessment_id, deleted, overridden, changes FROM assay.assessment_states "
          "WHERE assessment_id = ANY($1::text[]) ORDER BY assessment_id FOR UPDATE",
          {ids.text()});
  for (int i = 0; i < rows.size(); ++i) {
    auto& assessment = assessments[std::string(rows.text(i, 0))];
    assessment.deleted = rows.truth(i, 1);
    assessment.overridden = rows.truth(i, 2);
    if (assessment.deleted) continue;
    auto changes = AssessmentRow::decode(sql::unhex(rows.text(i, 3)));
    if (!changes) throw PgFailure{{"XX001", "assay.assessment_states holds what can't be read"}};
    assessment.changes = std::move(*changes);
  }
  for (auto* job : jobs) {
    const auto& record = std::get<AssessmentRecord>(job->record);
    auto& assessment = assessments[record.assessment_id];
    assessment.trace_id = record.trace_id;
    if (assessment.deleted || gone.contains(record.trace_id))
      job->fate = Fate::duplicate;
    else
      merge(assessment, *job);
  }
}

// What the job does to the registers; its fate, where that decides it.
void SqlBatch::merge(Assessment& assessment, SqlJob& job) {
  const auto& record = std::get<AssessmentRecord>(job.record);
  if (record.op == Op::erase) {
    assessment.deleted = assessment.changed = true;
    for (auto* earlier : assessment.updates) earlier->fate = Fate::duplicate;
    if (assessment.create) assessment.create->fate = Fate::duplicate;
    assessment.deletes.push_back(&job);
    return;
  }
  if (record.op == Op::create) {
    if (assessment.create)
      job.fate = Fate::duplicate;
    else
      assessment.create = &job;
    return;
  }
  const auto before = assessment.changes.changes();
  const auto changed = assessment.changes.apply(record, job.of.partition, job.offset);
  if (!changed) {
    job.fate = Fate::dead;
    job.problem = changed.error().reason;
    return;
  }
  if (!*changed) {
    job.fate = Fate::duplicate;
    return;
  }
  for (const auto& [path, change] : assessment.changes.changes())
    if (const auto was = before.find(path); was == before.end() || was->second.stamp != change.stamp)
      assessment.changed_paths.insert(path);
  assessment.changed = true;
  assessment.updates.push_back(&job);
}

void SqlBatch::erase(std::map<std::string, Assessment>& assessments) {
  PgArray ids, traces;
  for (const auto& [id, assessment] : assessments) {
    if (!assessment.deletes.empty()) ids.add(std::string_view(id));
    for (const auto* job : assessment.deletes)
      traces.add(std::string_view(std::get<AssessmentRecord>(job->record).trace_id));
  }
  if (ids.size() == 0) return;
  ask("DELETE FROM assay.waiting w WHERE source = $1 AND stream = 'assessments' AND "
      "value::jsonb -> 'assessment' ->> 'assessment_id' = ANY($2::text[]) AND trace_id = ANY($3::text[])",
      {source_, ids.text(), traces.text()});
  const auto rows =
      ask("DELETE FROM assessments WHERE assessment_id = ANY($1::text[]) RETURNING trace_id, overrides", {ids.text()});
  std::vector<Overridden> overridden;
  for (int i = 0; i < rows.size(); ++i) {
    touched_.emplace(rows.text(i, 0));
    if (!rows.is_null(i, 1)) overridden.push_back({std::string(rows.text(i, 1)), std::string(rows.text(i, 0))});
  }
  let_count_again(overridden, assessments);
}

// What one that is gone has overridden, unless another one does, too.
void SqlBatch::let_count_again(const std::vector<Overridden>& overridden,
                               std::map<std::string, Assessment>& assessments) {
  if (overridden.empty()) return;
  PgArray targets, traces;
  for (const auto& [id, trace_id] : overridden) {
    targets.add(std::string_view(id));
    traces.add(std::string_view(trace_id));
  }
  ask("UPDATE assessments a SET valid = true FROM unnest($1::text[], $2::text[]) t (id, trace_id) "
      "WHERE a.assessment_id = t.id AND a.trace_id = t.trace_id AND NOT EXISTS "
      "(SELECT 1 FROM assessments o WHERE o.trace_id = a.trace_id AND o.overrides = a.assessment_id)",
      {targets.text(), traces.text()});
  const auto freed = ask(
      "UPDATE assay.assessment_states s SET overridden = false FROM unnest($1::text[], $2::text[]) t (id, trace_id) "
      "WHERE s.assessment_id = t.id AND NOT EXISTS "
      "(SELECT 1 FROM assessments o WHERE o.trace_id = t.trace_id AND o.overrides = t.id) RETURNING s.assessment_id",
      {targets.text(), traces.text()});
  for (int i = 0; i < freed.size(); ++i)
    if (const auto at = assessments.find(std::string(freed.text(i, 0))); at != assessments.end())
      at->second.overridden = false;
}

struct SqlBatch::AssessmentRows {
  PgArray ids, trace_ids, names, types, values, errors, created, updated, aggregates, numeric, source_types, source_ids,
      run_ids, span_ids, rationales, overrides, valid, metadata;

  void add(const mlflow::AssessmentColumns& row) {
    ids.add(std::string_view(row.assessment_id));
    trace_ids.add(std::string_view(row.trace_id));
    names.add(std::string_view(row.name));
    types.add(std::string_view(row.type));
    values.add(std::string_view(row.value));
    errors.add(row.error);
    created.add(row.created_ms);
    updated.add(row.updated_ms);
    aggregates.add(sql::number(row.aggregate));
    numeric.add(row.is_numeric);
    source_types.add(std::string_view(row.source_type));
    source_ids.add(row.source_id);
    run_ids.add(row.run_id);
    span_ids.add(row.span_id);
    rationales.add(row.rationale);
    overrides.add(row.overrides);
    valid.add(row.valid);
    metadata.add(row.metadata);
  }
};

void SqlBatch::create(std::map<std::string, Assessment>& assessments) {
  AssessmentRows rows;
  std::vector<Overridden> targets;
  for (auto& [id, assessment] : assessments) {
    auto* job = assessment.create;
    if (!job || assessment.deleted) continue;
    const auto& record = std::get<AssessmentRecord>(job->record);
    auto row = mlflow::assessment_columns(record.json, record.trace_id, record.accepted_at);
    if (!row) {
      job->fate = Fate::dead;
      job->problem = row.error().reason;
      assessment.create = nullptr;
      continue;
    }
    for (const auto& [path, change] : assessment.changes.changes()) mlflow::apply_change(*row, path, change.json);
    row->assessment_id = id;
    row->valid &= !assessment.overridden;
    rows.add(*row);
    if (row->overrides) targets.push_back({*row->overrides, row->trace_id});
  }
  if (rows.ids.size() == 0) return;
  settle_creates(assessments, insert(rows));
  std::erase_if(targets, [&](const auto& target) { return !touched_.contains(target.trace_id); });
  override_those(targets, assessments);
}

// The ids of those that are there now and were not.
SqlBatch::Ids SqlBatch::insert(const AssessmentRows& rows) {
  // Its trace's row is locked so that neither its time nor its experiment moves before these have them.
  const auto made = ask(
      "WITH t AS MATERIALIZED (SELECT request_id, experiment_id, timestamp_ms FROM trace_info "
      "WHERE request_id = ANY($2::text[]) ORDER BY request_id FOR SHARE) "
      "INSERT INTO assessments (assessment_id, trace_id, name, assessment_type, value, error, created_timestamp, "
      "last_updated_timestamp, aggregate_value, is_numeric_value, source_type, source_id, run_id, span_id, rationale, "
      "overrides, valid, assessment_metadata, experiment_id, trace_timestamp_ms) "
      "SELECT u.*, t.experiment_id, t.timestamp_ms FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], "
      "$5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::float8[], $10::boolean[], $11::text[], $12::text[], "
      "$13::text[], $14::text[], $15::text[], $16::text[], $17::boolean[], $18::text[]) AS u (id, trace_id, name, "
      "type, value, error, created, updated, aggregate, is_numeric, source_type, source_id, run_id, span_id, "
      "rationale, overrides, valid, metadata) JOIN t ON t.request_id = u.trace_id "
      "ON CONFLICT (assessment_id) DO NOTHING RETURNING assessment_id",
      {rows.ids.text(), rows.trace_ids.text(), rows.names.text(), rows.types.text(), rows.values.text(),
       rows.errors.text(), rows.created.text(), rows.updated.text(), rows.aggregates.text(), rows.numeric.text(),
       rows.source_types.text(), rows.source_ids.text(), rows.run_ids.text(), rows.span_ids.text(),
       rows.rationales.text(), rows.overrides.text(), rows.valid.text(), rows.metadata.text()});
  Ids ids;
  for (int i = 0; i < made.size(); ++i) ids.emplace(made.text(i, 0));
  return ids;
}

// The fate of each create. Of those that were not `made` some are there already, and some have no trace yet.
void SqlBatch::settle_creates(std::map<std::string, Assessment>& assessments, const Ids& made) {
  PgArray others;
  for (const auto& [id, assessment] : assessments)
    if (assessment.create && !assessment.deleted && !made.contains(id)) others.add(std::string_view(id));
  Ids repeats;
  if (others.size() > 0) {
    const auto rows =
        ask("SELECT assessment_id FROM assessments WHERE assessment_id = ANY($1::text[])", {others.text()});
    for (int i = 0; i < rows.size(); ++i) repeats.emplace(rows.text(i, 0));
  }
  std::vector<SqlJob*> waiting;
  for (auto& [id, assessment] : assessments) {
    auto* job = assessment.create;
    if (!job || assessment.deleted) continue;
    if (made.contains(id)) {
      touched_.insert(std::get<AssessmentRecord>(job->record).trace_id);
      for (auto* update : assessment.updates) update->fate = Fate::applied;
      assessment.updates.clear();  // they are in what was written
      continue;
    }
    assessment.create = nullptr;
    if (repeats.contains(id))
      job->fate = Fate::duplicate;
    else
      waiting.push_back(job);
  }
  wait(waiting);
}

// Marks them invalid; those that have not come are marked for when they do.
void SqlBatch::override_those(const std::vector<Overridden>& targets, std::map<std::string, Assessment>& assessments) {
  if (targets.empty()) return;
  PgArray ids, traces;
  for (const auto& [id, trace_id] : targets) {
    ids.add(std::string_view(id));
    traces.add(std::string_view(trace_id));
  }
  const auto rows =
      ask("UPDATE assessments a SET valid = false FROM unnest($1::text[], $2::text[]) t (id, trace_id) "
          "WHERE a.assessment_id = t.id AND a.trace_id = t.trace_id RETURNING a.assessment_id",
          {ids.text(), traces.text()});
  Ids there;
  for (int i = 0; i < rows.size(); ++i) there.emplace(rows.text(i, 0));
  PgArray early;
  for (const auto& [id, trace_id] : targets) {
    if (there.contains(id)) continue;
    if (const auto known = assessments.find(id); known != assessments.end()) {
      known->second.overridden = known->second.changed = true;
    } else {
      early.add(std::string_view(id));
    }
  }
  if (early.size() > 0)
    ask("INSERT INTO assay.assessment_states (assessment_id, deleted, overridden, changes) SELECT DISTINCT id, false, "
        "true, $2::bytea FROM unnest($1::text[]) e (id) "
        "ON CONFLICT (assessment_id) DO UPDATE SET overridden = true",
        {early.text(), sql::hex(AssessmentRow().encode())});
}

void SqlBatch::change(std::map<std::string, Assessment>& assessments) {
  PgArray wanted;
  for (const auto& [id, assessment] : assessments)
    if (!assessment.updates.empty() && !assessment.deleted) wanted.add(std::string_view(id));
  if (wanted.size() == 0) return;
  const auto rows =
      ask("SELECT assessment_id, trace_id, assessment_type, name, value, error, rationale, assessment_metadata, "
          "aggregate_value, is_numeric_value, last_updated_timestamp FROM assessments "
          "WHERE assessment_id = ANY($1::text[]) ORDER BY assessment_id FOR UPDATE",
          {wanted.text()});
  PgArray ids, names, values, errors, rationales, metadata, aggregates, numeric, updated;
  for (int i = 0; i < rows.size(); ++i) {
    auto& assessment = assessments[std::string(rows.text(i, 0))];
    mlflow::AssessmentColumns row;
    row.type = rows.text(i, 2);
    row.name = rows.text(i, 3);
    row.value = rows.text(i, 4);
    row.error = rows.value(i, 5);
    row.rationale = rows.value(i, 6);
    row.metadata = rows.value(i, 7);
    if (!rows.is_null(i, 8)) row.aggregate = std::strtod(std::string(rows.text(i, 8)).c_str(), nullptr);
    row.is_numeric = rows.truth(i, 9);
    row.updated_ms = rows.number(i, 10);
    for (const auto& path : assessment.changed_paths)
      mlflow::apply_change(row, path, assessment.changes.changes().at(path).json);
    for (auto* job : assessment.updates) job->fate = Fate::applied;
    assessment.updates.clear();
    touched_.emplace(rows.text(i, 1));
    ids.add(rows.text(i, 0));
    names.add(std::string_view(row.name));
    values.add(std::string_view(row.value));
    errors.add(row.error);
    rationales.add(row.rationale);
    metadata.add(row.metadata);
    aggregates.add(sql::number(row.aggregate));
    numeric.add(row.is_numeric);
    updated.add(row.updated_ms);
  }
  for (auto& [id, assessment] : assessments)
    for (auto* job : assessment.updates)
      if (job->fate == Fate::applied) job->fate = Fate::held;
  if (ids.size() == 0) return;
  ask("UPDATE assessments a SET name = u.name, value = u.value, error = u.error, rationale = u.rationale, "
      "assessment_metadata = u.metadata, aggregate_value = u.aggregate, is_numeric_value = u.is_numeric, "
      "last_updated_timestamp = u.updated FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], "
      "$6::text[], $7::float8[], $8::boolean[], $9::bigint[]) AS u (id, name, value, error, rationale, metadata, "
      "aggregate, is_numeric, updated) WHERE a.assessment_id = u.id",
      {ids.text(), names.text(), values.text(), errors.text(), rationales.text(), metadata.text(), aggregates.text(),
       numeric.text(), updated.text()});
}

void SqlBatch::save_assessments(const std::map<std::string, Assessment>& assessments) {
  PgArray ids, deleted, overridden, changes, traces;
  for (const auto& [id, assessment] : assessments) {
    if (!assessment.changed) continue;
    ids.add(std::string_view(id));
    deleted.add(assessment.deleted);
    overridden.add(assessment.overridden);
    changes.add(std::string_view(assessment.deleted ? "" : sql::hex(assessment.changes.encode())));
    traces.add(std::string_view(assessment.trace_id));
  }
  if (ids.size() == 0) return;
  ask("INSERT INTO assay.assessment_states (assessment_id, deleted, overridden, changes, trace_id) "
      "SELECT * FROM unnest($1::text[], $2::boolean[], $3::boolean[], $4::bytea[], $5::text[]) "
      "ON CONFLICT (assessment_id) DO UPDATE SET deleted = excluded.deleted, overridden = excluded.overridden, "
      "changes = excluded.changes, trace_id = excluded.trace_id",
      {ids.text(), deleted.text(), overridden.text(), changes.text(), traces.text()});
}

}  // namespace assay
