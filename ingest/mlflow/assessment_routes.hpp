#pragma once
//   POST   /api/3.0/mlflow/traces/{trace_id}/assessments                    log_feedback, log_expectation, override
//   GET, PATCH, DELETE /api/3.0/mlflow/traces/{trace_id}/assessments/{id}
#include "ingest/mlflow/door.hpp"

namespace assay {

void add_assessment_routes(Router& router, MlflowDoor& door);

}  // namespace assay
