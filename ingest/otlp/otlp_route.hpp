#pragma once
// POST /v1/traces: spans by OTLP, protobuf or JSON, plain, gzip or deflate, for the experiment of the header
// x-mlflow-experiment-id. All or none of a request.
#include "ingest/mlflow/door.hpp"

namespace assay {

void add_otlp_route(Router& router, MlflowDoor& door);

}  // namespace assay
