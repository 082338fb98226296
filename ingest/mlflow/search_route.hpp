#pragma once
// POST /api/3.0/mlflow/traces/search. A search gives way to others on its thread every few traces; how many it looked
// at and in which index stands in the headers Assay-Search-Examined and Assay-Search-Index.
#include "ingest/mlflow/door.hpp"

namespace assay {

Task<Response> search_traces(MlflowDoor& door, Request& request);
// `asked`: what the body would say.
Task<Response> search_traces(MlflowDoor& door, const Request& request, const boost::json::object& asked);

}  // namespace assay
