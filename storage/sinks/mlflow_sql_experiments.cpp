// In which experiment a trace stands, and what waits for one.
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

// Those without an experiment.
void SqlBatch::hold_back(std::map<std::string, Trace>& traces) {
  std::vector<SqlJob*> waiting;
  for (auto& [id, trace] : traces) {
    if (!trace.changed || trace.deleted || trace.experiment_id >= 0) continue;
    const auto& experiment = trace.columns.experiment;
    const bool has_id = trace.located && is_experiment_id(experiment);
    for (auto* job : trace.jobs) {
      if (job->fate == Fate::dead) continue;
      if (has_id) job->problem = experiment.text;
      waiting.push_back(job);
    }
    trace.changed = false;
  }
  wait(waiting);
}

}  // namespace assay
