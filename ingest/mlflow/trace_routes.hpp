#pragma once
//   POST /api/3.0/mlflow/traces                      StartTraceV3, with the assessments in it
//   GET  /api/3.0/mlflow/traces/{trace_id}           a trace's info with its assessments
//   GET  /api/3.0/mlflow/traces/get?trace_id=        the same with its spans
//   GET  /api/3.0/mlflow/traces/batchGet?trace_ids=  several of them
//   POST /api/3.0/mlflow/traces/batchGetInfos        several infos
//   POST /api/3.0/mlflow/traces/search               search_traces
//   POST /api/{2,3}.0/mlflow/traces/delete-traces
//   PATCH, DELETE /api/{2,3}.0/mlflow/traces/{trace_id}/tags
//   and the second version's: trace_v2_routes.hpp
#include "ingest/mlflow/door.hpp"
#include "ingest/mlflow/trace_request.hpp"
#include "storage/store/trace_row.hpp"

namespace assay {

// Before an MLflow server: what this door takes itself; the server is asked for all the rest.
void add_trace_routes(Router& router, MlflowDoor& door);
void add_trace_read_routes(Router& router, MlflowDoor& door);
void add_trace_delete_routes(Router& router, MlflowDoor& door);

// How the rest is passed to the server behind, with an eye on traces that are deleted there by their ids: they are
// deleted here, too, whether the door has them or not. `door` outlives it.
PassHandler with_deletions(MlflowDoor& door, PassHandler pass);

// What is known of the trace, the ids that name it, and what was said about it: all or none; the name of its experiment
// is among it. The refusal where it was not written.
Task<std::optional<Response>> write_trace(MlflowDoor& door, const Request& request, const TraceRequest& trace,
                                          Instant now);

// 404; before an MLflow server, which may not have heard yet of what was deleted here, 410: it is not asked then.
Response trace_not_found(MlflowDoor& door, std::string_view trace_id, std::string message);

// Whether it is a trace of the experiment: one that has a name has another id in an MLflow server behind this door.
bool may_be_in(const MlflowDoor& door, const TraceRow& row, std::string_view experiment);

// The tag mlflow.artifactLocation of a trace.
std::string artifact_location(const std::string& experiment_id, const std::string& trace_id);

// The experiment may get traces: it is there, and active where that is wanted; otherwise why not. Without a view nobody
// can say: it may. Where its id is this door's own, its name, which goes into each trace's metadata so that it stands
// in the MLflow's experiment of that name (see experiment_name_key); else empty.
enum class Stage { active, any };
Task<Result<std::string, MlflowError>> experiment_for_traces(MlflowDoor& door, std::string_view experiment_id,
                                                             Stage wanted);

}  // namespace assay
