#include "storage/sinks/mlflow_schema.hpp"

#include <algorithm>

namespace assay::mlflow {
namespace {

// What the sink keeps beside MLflow's tables, in the same transactions. No name is one of MLflow's: for a role that is
// called assay this schema comes first on the search path. DO NOT CHANGE what stands there: raise the version.
constexpr const char* our_schema = R"(
CREATE SCHEMA IF NOT EXISTS assay;
CREATE TABLE IF NOT EXISTS assay.version (version integer NOT NULL);
INSERT INTO assay.version SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM assay.version);
-- How far each partition of a log was applied.
CREATE TABLE IF NOT EXISTS assay.positions (
  source text NOT NULL, stream text NOT NULL, partition integer NOT NULL, next bigint NOT NULL,
  PRIMARY KEY (source, stream, partition));
-- What is known of a trace that came through us (the registers of a TraceRow), or that it was deleted.
CREATE TABLE IF NOT EXISTS assay.trace_states (trace_id text PRIMARY KEY, deleted boolean NOT NULL, known bytea NOT NULL);
-- Of assessments of which there is more than their create: what changed (the registers of an AssessmentRow, also those
-- that came before it), whether it was deleted, or overridden before it came.
CREATE TABLE IF NOT EXISTS assay.assessment_states (
  assessment_id text PRIMARY KEY, deleted boolean NOT NULL, overridden boolean NOT NULL, changes bytea NOT NULL);
-- Records whose trace or experiment MLflow does not know yet.
CREATE TABLE IF NOT EXISTS assay.waiting (
  source text NOT NULL, stream text NOT NULL, partition integer NOT NULL, record_offset bigint NOT NULL,
  trace_id text NOT NULL, experiment_id integer, since_ms bigint NOT NULL, value text NOT NULL,
  PRIMARY KEY (source, stream, partition, record_offset));
CREATE INDEX IF NOT EXISTS waiting_trace_id ON assay.waiting (trace_id);
CREATE INDEX IF NOT EXISTS waiting_since ON assay.waiting (source, since_ms);
-- So that what was said of a trace goes with it.
ALTER TABLE assay.assessment_states ADD COLUMN IF NOT EXISTS trace_id text;
CREATE INDEX IF NOT EXISTS assessment_states_trace_id ON assay.assessment_states (trace_id);
)";

SchemaProblem away(const PgError& error) { return {error.message, false}; }

}  // namespace

Result<void, SchemaProblem> check_schema(PgConnection& pg) {
  const auto table = pg.exec("SELECT to_regclass('alembic_version') IS NOT NULL");
  if (!table) return away(table.error());
  if (!table->truth(0, 0))
    return SchemaProblem{"it is no database of an MLflow server: there is no table alembic_version", true};
  const auto found = pg.exec("SELECT version_num FROM alembic_version");
  if (!found) return away(found.error());
  std::string revisions;
  for (int i = 0; i < found->size(); ++i) revisions += (i ? ", " : "") + std::string(found->text(i, 0));
  if (std::find(std::begin(known_revisions), std::end(known_revisions), revisions) == std::end(known_revisions)) {
    std::string known;
    for (const auto revision : known_revisions) known.append(known.empty() ? "" : ", ").append(revision);
    return SchemaProblem{"the database's revision is " + (revisions.empty() ? "none" : revisions) + ", known are " +
                             known + ": commit by REST (--mlflow-url without --mlflow-db) to this version of MLflow",
                         true};
  }
  const auto ours = pg.exec("SELECT to_regclass('assay.assessment_states_trace_id') IS NOT NULL");
  if (!ours) return away(ours.error());
  if (!ours->truth(0, 0)) {
    // Several workers may start at once.
    auto made = pg.exec("SELECT pg_advisory_lock(7161553840101)");
    for (std::string_view rest = our_schema; made && rest.find(';') != rest.npos;) {
      const auto end = rest.find(';');
      made = pg.exec(std::string(rest.substr(0, end)));
      rest.remove_prefix(end + 1);
    }
    const auto unlocked = pg.exec("SELECT pg_advisory_unlock(7161553840101)");
    if (!made && made.error().sqlstate == "42501")
      return SchemaProblem{"the schema assay can't be made: " + made.error().message, true};
    if (!made) return away(made.error());
    if (!unlocked) return away(unlocked.error());
  }
  const auto version = pg.exec("SELECT version FROM assay.version");
  if (!version) return away(version.error());
  if (version->size() != 1 || version->number(0, 0) != 1)
    return SchemaProblem{"the schema assay in it was made by another version of assay", true};
  return {};
}

}  // namespace assay::mlflow
