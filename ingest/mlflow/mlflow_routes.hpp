#pragma once
// MLflow's tracking protocol, as far as traces, assessments, experiments and datasets go: the unmodified client works
// against this door. See README.md beside this file for what is here and what is not.
#include "ingest/mlflow/door.hpp"

namespace assay {

// `door` outlives the router.
void add_mlflow_routes(Router& router, MlflowDoor& door);

}  // namespace assay
