#pragma once
// assay.requests: which trace an id names. Key: the id (a client_request_id, or the trace_id itself); value: the
// trace_id, as it is, no JSON. Compacted: the last record of a key wins. DO NOT CHANGE.
#include <vector>

#include "storage/records/record.hpp"

namespace assay {

// One for the trace_id itself and, where there is one, for its client_request_id.
std::vector<Record> request_records(std::string_view trace_id, std::string_view client_request_id, Instant at);

}  // namespace assay
