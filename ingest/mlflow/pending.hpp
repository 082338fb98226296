#pragma once
// A trace that is on its way. An application that looks its trace up by client_request_id before it says something of
// it finds nothing while its client has not exported the trace yet. Where this door parks early feedback, such a lookup
// (one result, of exactly one client_request_id) is answered with a pending trace: its id is "pending:" and the
// client_request_id, and what is said of it is parked under that and committed to the real trace when it comes.
#include <optional>
#include <string>
#include <string_view>

#include "ingest/mlflow/door.hpp"
#include "storage/store/filter/trace_search.hpp"

namespace assay::pending {

inline constexpr std::string_view prefix = "pending:";

// The client_request_id that such an id holds.
std::optional<std::string> request_of(std::string_view trace_id);
// The lookup that is answered with a pending trace: its client_request_id.
std::optional<std::string> asked_for(const filter::TraceQuery& query);
// The id of the real trace, once it is known; what is no pending id is itself.
std::string resolved(MlflowDoor& door, std::string_view trace_id);
// MLflow's trace_info of it.
std::string info_json(std::string_view client_request_id, std::string_view experiment_id, Instant now);

}  // namespace assay::pending
