#pragma once
// The part of MLflow's REST API that this door answers itself:
//
//   POST /api/3.0/mlflow/traces                             StartTraceV3, with the assessments in it
//   GET  /api/3.0/mlflow/traces/{trace_id}                  a trace's info with its assessments; needs a view
//   POST /api/3.0/mlflow/traces/{trace_id}/assessments      log_feedback and log_expectation
#include "ingest/http/router.hpp"
#include "ingest/ingest_config.hpp"
#include "ingest/recent_traces.hpp"
#include "storage/log/event_log.hpp"
#include "storage/store/view.hpp"

namespace assay {

// All that is referred to outlives the router; `view` may be null.
void add_mlflow_routes(Router& router, EventLog& log, View* view, RecentTraces& recent, const Clock& clock,
                       const IngestConfig& config);

}  // namespace assay
