#pragma once
// assay.requests: which trace an id names. Key: the id (a client_request_id, or the trace_id itself); value: the
// trace_id, as it is, no JSON. Compacted: the last record of a key wins. DO NOT CHANGE.
//
// An id of the form of a trace's own (see is_trace_id) names that trace and no other one: who may choose
// client_request_ids must not draw to his trace what is said of somebody else's.
#include <optional>
#include <string>
#include <vector>

#include "storage/records/record.hpp"

namespace assay {

// Whether this client_request_id of a trace names it: it is not empty, and no other trace's own id.
bool may_name(std::string_view id, std::string_view trace_id);

// One for the trace_id itself and, where there is one that may name it, for its client_request_id.
std::vector<Record> request_records(std::string_view trace_id, std::string_view client_request_id, Instant at);

// In words what stands against believing it; none: its key names the trace of its value, or none any more. Both are 1
// to 512 bytes of UTF-8 without control characters.
std::optional<std::string> problem_with_request(const LogRecord& record);

}  // namespace assay
