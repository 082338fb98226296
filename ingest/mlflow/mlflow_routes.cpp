#include "ingest/mlflow/mlflow_routes.hpp"

#include "ingest/mlflow/artifact_routes.hpp"
#include "ingest/mlflow/assessment_routes.hpp"
#include "ingest/mlflow/dataset_routes.hpp"
#include "ingest/mlflow/experiment_routes.hpp"
#include "ingest/mlflow/probe_routes.hpp"
#include "ingest/mlflow/trace_routes.hpp"

namespace assay {

void add_mlflow_routes(Router& router, MlflowDoor& door) {
  add_assessment_routes(router, door);  // first: the router tries patterns in this order
  add_trace_routes(router, door);
  add_artifact_routes(router, door);
  if (door.config.server_behind) return;
  add_experiment_routes(router, door);
  add_dataset_routes(router, door);
  add_probe_routes(router);
}

}  // namespace assay
