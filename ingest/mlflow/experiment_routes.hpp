#pragma once
// /api/2.0/mlflow/experiments/…: create, get, get-by-name, search, update, delete, restore, set-experiment-tag,
// delete-experiment-tag.
#include "ingest/mlflow/door.hpp"
#include "storage/records/catalog_record.hpp"

namespace assay {

void add_experiment_routes(Router& router, MlflowDoor& door);

// The id that an experiment of this name gets, the `attempt`-th where earlier ones are taken: the same at every door.
std::string new_experiment_id(std::string_view name, int attempt = 0);
Experiment new_experiment(std::string_view name, std::string_view id, Instant at);

// In MLflow's words.
MlflowError no_experiment(std::string_view id);
// That it is not active, where it has to be.
std::optional<MlflowError> problem_with_stage(const Experiment& experiment);

}  // namespace assay
