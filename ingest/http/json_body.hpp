#pragma once
// What our own doors take: JSON as it is, whatever a client calls it.
#include <simdjson.h>

#include <optional>
#include <string_view>

#include "ingest/http/error_response.hpp"
#include "ingest/http/request.hpp"
#include "ops/runtime/result.hpp"

namespace assay {

// A form, or bytes that something has packed, is said to be that, and not "no JSON".
std::optional<Rejection> problem_with_form(const Request& request);

// Parses one JSON document; `padded` says that SIMDJSON_PADDING bytes behind it may be read. What it gives lives until
// the next parse on this thread. 400: no JSON.
Result<simdjson::dom::element, Rejection> parse_json_body(std::string_view json, bool padded);
// The same of what must be a list: else 422.
Result<simdjson::dom::array, Rejection> parse_list(std::string_view json, bool padded);
// Of what is no JSON object: why.
Rejection why_no_object(std::string_view json);

}  // namespace assay
