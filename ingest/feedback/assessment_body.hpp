#pragma once
// What a client says about an answer, as the doors for feedback take it, checked: strict types, no unknown fields,
// limits on everything. Pure.
#include <simdjson.h>

#include <optional>
#include <string>
#include <string_view>

#include "ingest/http/error_response.hpp"
#include "ops/runtime/result.hpp"
#include "storage/records/feedback_record.hpp"

namespace assay {

// A create, in the guide's form {"is_correct", "comment"?} or the general one {"name", "value", "rationale"?,
// "metadata"?, "span_id"?, "source"?: {"type", "id"}}.
struct AssessmentBody {
  std::string name;
  std::string source_type = "HUMAN";
  std::string source_id;  // empty: who asks, if known
  // The rest, as members of MLflow's JSON of an assessment: `"feedback":{"value":…},"rationale":…`.
  std::string members;
  // Of an item in a batch.
  std::optional<Target> target;
  std::optional<std::string> idempotency_key, user_id;
};

enum class BodyContext { request, batch };  // a batch's item has its target, key and user in its body

// Parses one JSON document; `padded` says that SIMDJSON_PADDING bytes behind it may be read. 400: no JSON; 422: not
// this.
Result<AssessmentBody, Rejection> parse_assessment_body(std::string_view json, bool padded,
                                                        BodyContext context = BodyContext::request);
// The same for what is already parsed: an element of a batch's list.
Result<AssessmentBody, Rejection> parse_assessment_body(simdjson::dom::element element, BodyContext context);

}  // namespace assay
