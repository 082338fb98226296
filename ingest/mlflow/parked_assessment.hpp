#pragma once
// Assessments that wait for their trace, with what was changed of them since: they are read as if it had come.
#include <optional>
#include <string>

#include "ingest/mlflow/door.hpp"
#include "storage/records/feedback_record.hpp"
#include "storage/store/store.hpp"

namespace assay {

// What feedback for this trace waits for: the trace, or the client_request_id of a pending one.
Target target_of(const std::string& trace_id);
// None: no such one is parked. Needs the door's view.
Result<std::optional<Store::Assessment>> parked_assessment(const MlflowDoor& door, const std::string& trace_id,
                                                           const std::string& assessment_id);

}  // namespace assay
