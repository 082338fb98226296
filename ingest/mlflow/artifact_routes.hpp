#pragma once
// PUT, GET /api/2.0/mlflow-artifacts/artifacts/{experiment}/traces/{trace_id}/artifacts/traces.json: how MLflow's
// client before 3.4 sends and reads the spans of a trace. No other artifact is kept here.
#include "ingest/mlflow/door.hpp"

namespace assay {

// Those of traces that are not known here are the MLflow server's, where one stands behind this door.
void add_artifact_routes(Router& router, MlflowDoor& door);

}  // namespace assay
