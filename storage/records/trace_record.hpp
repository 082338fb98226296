#pragma once
// assay.traces: what is known of a trace. Key: trace_id. A later record of the same trace adds to it: see store/traces.
//
//   {"v":1,"op":"upsert","accepted_at":T,"trace_info":{…},"spans":[SPAN…]?,"from":"spans"?,"ends_by":T?}
//   {"v":1,"op":"delete","accepted_at":T,"trace_id":ID}
//
// trace_info is MLflow's JSON of a trace's info (trace_id, client_request_id, trace_location, request_time, state,
// tags, …, without assessments); SPAN is MLflow's JSON of a span in its traces.json (trace_id and span_id in base64,
// attributes as JSON strings). "from":"spans": nobody has said this of the trace, it was concluded from the spans; such
// an info may have end_time, the latest end of a span, in place of execution_duration. ends_by: a chat under way at a
// front door, which will have recorded its end by then or is gone (workers/chat_closer.hpp). DO NOT CHANGE a field's
// meaning: raise the version.
#include <optional>
#include <string>
#include <string_view>

#include "storage/records/feedback_record.hpp"

namespace assay {

// In trace_metadata: the name of the trace's experiment, where the id beside it is our own. A sink whose experiments
// are a real MLflow's takes the name.
inline constexpr std::string_view experiment_name_key = "assay.experiment";

struct TraceRecord {
  bool deleted = false;
  bool from_spans = false;
  std::string trace_id;
  Instant accepted_at;
  std::string info;   // trace_info, one object; empty for a deletion
  std::string spans;  // a JSON list, or empty
  std::optional<Instant> ends_by = {};
};

Record to_record(const TraceRecord& trace);
Result<TraceRecord, Malformed> parse_trace_record(std::string_view value);

}  // namespace assay
