#pragma once
// MLflow's tracking protocol, as far as traces, assessments, experiments and datasets go: the unmodified client works
// against this door. See README.md beside this file for what is here and what is not.
#include "ingest/mlflow/door.hpp"

namespace assay {

// `door` outlives the router. With an MLflow server behind this door traces with their spans and assessments are taken
// here, and what becomes of those that are known here: tags and deletions too, so that none of it goes past the log.
// What is not known here, and every other call, is that server's.
void add_mlflow_routes(Router& router, MlflowDoor& door);

}  // namespace assay
