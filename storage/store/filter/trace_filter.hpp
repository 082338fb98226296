#pragma once
// What a filter and an order of traces may say: MLflow's search_traces. A clause comes out checked, its key replaced by
// the tag, metadata or span content that it stands for. Pure.
#include <span>

#include "storage/store/filter/clause.hpp"

namespace assay::filter {

// Clause::kind of a trace's clause: attribute, tag, request_metadata, span, feedback, expectation, issue.
// Attributes: request_id, timestamp_ms, execution_time_ms, end_time_ms, status, client_request_id. Clause::op is in
// capitals.
using TraceFilter = std::vector<Clause>;
Result<TraceFilter, Refusal> parse_trace_filter(std::string_view text);

struct TraceOrder {
  std::string kind, key;  // as above, or the attribute experiment_id
  bool ascending = true;
};
// Without ties: what is missing is added (timestamp_ms descending, request_id ascending).
Result<std::vector<TraceOrder>, Refusal> parse_trace_order(std::span<const std::string> clauses);
// Newest first, as it is without an order_by.
bool is_newest_first(const std::vector<TraceOrder>& order);

}  // namespace assay::filter
