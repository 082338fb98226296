// In which experiment a trace stands, and what waits for one.
#include <algorithm>

#include "ops/runtime/parse_number.hpp"
#include "storage/sinks/mlflow_sql_batch.hpp"

namespace assay {

using Fate = SqlJob::Fate;

namespace {

// Digits that its column holds, however many there are.
bool is_experiment_id(const mlflow::ExperimentRef& wanted) {
  const auto& text = wanted.text;
  return !wanted.is_name && text.find_first_not_of("0123456789") == text.npos && parse_number<std::int32_t>(text);
}

}  // namespace

// -1: there is none. One that has a name and is not there is made, as MLflow makes it.
int SqlBatch::experiment_id(const mlflow::ExperimentRef& said) {
  const auto wanted = said.text.empty() ? mlflow::ExperimentRef{default_experiment_} : said;
  if (const auto known = experiments_.find(wanted); known != experiments_.end()) return known->second;
  const auto& text = wanted.text;
  const bool is_id = is_experiment_id(wanted);
  const std::string by = is_id ? "experiment_id = $1::int" : "name = $1 AND workspace = 'default'";
  const auto look = [&] {
    const auto rows = ask("SELECT experiment_id FROM experiments WHERE lifecycle_stage = 'active' AND " + by, {text});
    return rows.size() == 1 ? static_cast<int>(rows.number(0, 0)) : -1;
  };
  int id = look();
  if (id < 0 && !is_id) {
    // Artifacts lie beside those of the default experiment.
    ask("WITH made AS (SELECT nextval(pg_get_serial_sequence('experiments', 'experiment_id')) AS id) "
        "INSERT INTO experiments (experiment_id, name, lifecycle_stage, creation_time, last_update_time, workspace, "
        "artifact_location) SELECT id, $1, 'active', $2::bigint, $2::bigint, 'default', "
        "regexp_replace(COALESCE((SELECT artifact_location FROM experiments WHERE experiment_id = 0), "
        "'mlflow-artifacts:/0'), '/0$', '/') || id FROM made ON CONFLICT DO NOTHING",
        {text, std::to_string(now_.time_since_epoch().count())});
    id = look();
  }
  if (id >= 0) experiments_[wanted] = id;
  return id;
}

// A chat that joined a trace, or spans below another's root: who has that may tell MLflow of it past us, and has then.
// What we told MLflow of a trace ourselves stands there as we said it.
void SqlBatch::find_anothers(std::map<std::string, Trace>& traces) {
  PgArray parts;
  const auto has_root = [](const Trace& trace) {
    return std::ranges::any_of(trace.span_columns, [](const auto& span) { return !span.parent_span_id; });
  };
  for (const auto& [id, trace] : traces)
    if (trace.changed && !trace.deleted && trace.located && trace.row.is_concluded() && !has_root(trace))
      parts.add(std::string_view(id));
  if (parts.size() == 0) return;
  const auto rows =
      ask("SELECT request_id, experiment_id, timestamp_ms, trace_name FROM trace_info WHERE request_id = "
          "ANY($1::text[])",
          {parts.text()});
  for (int i = 0; i < rows.size(); ++i) {
    auto& trace = traces[std::string(rows.text(i, 0))];
    const auto is_as = [&](const mlflow::TraceColumns& said) {
      return rows.number(i, 2) == said.timestamp_ms && rows.value(i, 3) == said.name;
    };
    const auto before =
        trace.before.empty() ? std::nullopt : std::optional(mlflow::trace_columns(trace.before, {}, now_));
    if (is_as(trace.columns) || (before && *before && is_as(**before))) continue;
    trace.anothers = true;
    trace.located = false;
    trace.experiment_id = static_cast<int>(rows.number(i, 1));
  }
}

// A trace that nobody has located for us, or in an experiment that is not there, may stand there all the same.
void SqlBatch::find_experiments(std::map<std::string, Trace>& traces) {
  PgArray unplaced;
  for (const auto& [id, trace] : traces)
    if (trace.changed && !trace.deleted && trace.experiment_id < 0) unplaced.add(std::string_view(id));
  if (unplaced.size() == 0) return;
  const auto rows =
      ask("SELECT request_id, experiment_id FROM trace_info WHERE request_id = ANY($1::text[])", {unplaced.text()});
  for (int i = 0; i < rows.size(); ++i)
    traces[std::string(rows.text(i, 0))].experiment_id = static_cast<int>(rows.number(i, 1));
}

// Also of one that was deleted, which may be restored.
PgValue SqlBatch::id_of_experiment(const mlflow::ExperimentRef& said) {
  if (is_experiment_id(said)) return said.text;
  const auto& name = said.text.empty() ? default_experiment_ : said.text;
  const auto rows = ask("SELECT experiment_id FROM experiments WHERE name = $1 AND workspace = 'default'", {name});
  return rows.size() == 1 ? PgValue(rows.text(0, 0)) : PgValue();
}

// Those without an experiment.
void SqlBatch::hold_back(std::map<std::string, Trace>& traces) {
  std::vector<SqlJob*> waiting;
  for (auto& [id, trace] : traces) {
    if (!trace.changed || trace.deleted || trace.experiment_id >= 0) continue;
    const auto experiment = trace.located ? id_of_experiment(trace.columns.experiment) : PgValue();
    for (auto* job : trace.jobs) {
      if (job->fate == Fate::dead) continue;
      if (experiment) job->problem = *experiment;
      waiting.push_back(job);
    }
    trace.changed = false;
  }
  wait(waiting);
}

}  // namespace assay
