#pragma once
// /api/3.0/mlflow/datasets/…: create, search, {id} (get, delete), {id}/records (upsert, list, delete), {id}/tags,
// {id}/experiment-ids, {id}/add-experiments, {id}/remove-experiments.
#include "ingest/mlflow/door.hpp"

namespace assay {

void add_dataset_routes(Router& router, MlflowDoor& door);
void add_dataset_record_routes(Router& router, MlflowDoor& door);

}  // namespace assay
