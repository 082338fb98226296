#pragma once
// GET /version (3.4 or later makes the client send spans by OTLP), /health, /api/3.0/mlflow/server-info.
#include "ingest/mlflow/door.hpp"

namespace assay {

// The release of MLflow whose protocol this is.
inline constexpr std::string_view mlflow_version = "3.17.2";

void add_probe_routes(Router& router);

}  // namespace assay
