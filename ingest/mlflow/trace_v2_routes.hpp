#pragma once
// The traces API of MLflow before its third version, which clients up to 3.1 speak to a server that is not Databricks:
// a trace is started, its spans are uploaded as an artifact (artifact_routes.hpp), and it is ended. MLflow's server
// still answers it ("deprecated"); a trace's info is there in its second form: request_id, timestamp_ms, status, and
// lists of {"key","value"} for metadata and tags.
#include "ingest/mlflow/door.hpp"

namespace assay {

void add_trace_v2_routes(Router& router, MlflowDoor& door);

}  // namespace assay
