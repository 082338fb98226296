#pragma once
// assay.assessments: resolved assessments, the integration point for everybody else. Key: trace_id; header
// assessment_id.
//
//   {"v":1,"op":"create"|"update"|"delete","assessment":{…},"client_request_id":C?,"record_id":R?,"withdrawn":true?,
//    "accepted_at":T}
//
// `assessment` is MLflow's JSON of it with its trace_id; for an update only assessment_id, trace_id, last_update_time
// and what changes; for a delete only assessment_id and trace_id. record_id stands there where it is not the
// assessment_id. withdrawn: it was taken back while it waited for its trace, so that its words are gone, and its
// deletion follows: whoever counts what was said passes it over. DO NOT CHANGE a field's meaning: raise the version.
#include <string>
#include <string_view>

#include "storage/records/feedback_record.hpp"

namespace assay {

struct AssessmentRecord {
  Op op = Op::create;
  std::string assessment_id;
  std::string trace_id;
  std::string record_id;
  std::string client_request_id;  // empty where the feedback came by trace_id
  Instant accepted_at;
  std::string json;  // `assessment`, one object
};

// Adds the trace_id to the item: what the resolver forwards.
Record forward(const FeedbackItem& item, Op op, const Target& target, Instant accepted_at, std::string_view trace_id,
               bool withdrawn = false);

Result<AssessmentRecord, Malformed> parse_assessment_record(std::string_view value);

}  // namespace assay
