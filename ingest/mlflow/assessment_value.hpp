#pragma once
// What an assessment says: the members "feedback" and "expectation" of MLflow's JSON. Pure.
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <string_view>

#include "ingest/http/error_response.hpp"

namespace assay {

// `kind`: "feedback" or "expectation". Only what MLflow's client can read back is let in, because it reads a page of
// traces as a whole: {"value", "error"?: {"error_code", "error_message"?, "stack_trace"?}} of a feedback, whose value
// may be null; {"value"} or {"serialized_value": {"serialization_format", "value"}} of an expectation.
Result<boost::json::object, Rejection> read_assessment_value(std::string_view kind, const boost::json::value& sent);

}  // namespace assay
