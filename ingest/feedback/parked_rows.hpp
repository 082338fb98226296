#pragma once
// Assessments that wait for their trace, with what was changed of them since: as the store would have them, had it
// come.
#include <map>
#include <string>

#include "storage/log/event_source.hpp"
#include "storage/state/key_value.hpp"
#include "storage/store/assessment_row.hpp"

namespace assay {

// By assessment_id: all that wait for this id in its partition, as if it named that trace; of a change whose create
// does not wait there, a row without a base. What no sink could read is left out: it will be a dead letter.
Result<std::map<std::string, AssessmentRow>> parked_rows(const KeyValue& kv, Partition partition,
                                                         const std::string& waits_for, std::string_view trace_id);

}  // namespace assay
