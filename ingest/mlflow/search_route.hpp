#pragma once
// POST /api/3.0/mlflow/traces/search. A search gives way to others on its thread every few traces; how many it looked
// at and in which index stands in the headers Assay-Search-Examined and Assay-Search-Index.
#include "ingest/mlflow/door.hpp"

namespace assay {

Task<Response> search_traces(MlflowDoor& door, Request& request);
// `asked`: what the body would say.
Task<Response> search_traces(MlflowDoor& door, const Request& request, const boost::json::object& asked);

// Before an MLflow server, which is asked, whoever may read: its answer needs the body at hand, so this is a route.
Task<Response> search_behind(Request& request);
// How that is passed on: the search for exactly one client_request_id that the server behind finds no trace for, or
// does not answer, is answered from here, where its trace is here. `door` outlives it.
PassHandler with_searches(MlflowDoor& door, PassHandler pass);

}  // namespace assay
