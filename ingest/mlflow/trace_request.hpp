#pragma once
// What MLflow's client sends about traces and assessments, read as its server reads it: field names in snake or camel
// case, unknown fields ignored, what is known strictly typed. Pure.
#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ingest/http/error_response.hpp"
#include "storage/records/feedback_record.hpp"

namespace assay {

inline constexpr std::size_t rationale_bytes_max = 256u << 10;  // a judge's may be long

// One assessment as it is accepted. Its id comes from the trace and from what was sent, since MLflow's client repeats
// its POSTs without a key, but with the time of the call in each: a repeat is the same assessment.
struct SentAssessment {
  boost::json::object json;  // MLflow's, with its assessment_id, without a trace_id
  std::string overrides;     // the id of the one that this one takes the place of; may be empty
  FeedbackRecord record;
};

struct TraceRequest {
  std::string trace_id, client_request_id;  // the latter may be empty
  std::string experiment_id;                // the same
  boost::json::object info;                 // trace_info without assessments
  std::vector<SentAssessment> assessments;
  std::optional<Rejection> refused;  // the first assessment that can't be taken; nothing else is lost with it
};

// From the year 1 to 9999: MLflow's client can read nothing of an answer with another time in it.
bool is_readable_time(Instant at);
inline constexpr std::string_view unreadable_time = "it is not between the years 1 and 9999";

// StartTraceV3: {"trace":{"trace_info":{…}}}.
Result<TraceRequest, Rejection> parse_trace_request(std::string_view body, Instant now);

// What makes an assessment without an id the same as another: its key; else its words and its times, and where it
// brings none, `unlike`, if that is not empty.
struct Sameness {
  std::optional<std::string> key = {};
  std::string unlike = {};
};

// {"assessment":{…}} for a trace; the path's trace_id counts.
Result<SentAssessment, Rejection> parse_assessment_request(std::string_view body, std::string_view trace_id,
                                                           Instant now, const Sameness& sameness = {});

// Of keys and texts: whether one has U+0000.
bool holds_nul(const boost::json::object& texts);

}  // namespace assay
