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

struct BodyLimits {
  static constexpr std::size_t id_bytes = 250;
  static constexpr std::size_t name_bytes = 250;
  static constexpr std::size_t span_id_bytes = 50;      // as much as MLflow's tables hold
  static constexpr std::size_t text_bytes = 16u << 10;  // a comment, a rationale, one value of the metadata
  static constexpr std::size_t metadata_entries = 64;
  static constexpr std::size_t depth = 32;
};

// 1 to 250 bytes of UTF-8 without control characters; none: it is.
std::optional<Rejection> problem_with_id(std::string_view field, std::string_view id);
// The same of what feedback is about, and 422 of what a page sends that has no id: "undefined", "null", white space.
std::optional<Rejection> problem_with_target_id(std::string_view field, std::string_view id);

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

// A change: "value" (or "is_correct"), "rationale" (or "comment"; null takes it away), "metadata" (merged). At least
// one.
struct ChangesBody {
  std::string members;  // as above
};

enum class BodyContext { request, batch };  // a batch's item has its target, key and user in its body

// Parses one JSON document; `padded` says that SIMDJSON_PADDING bytes behind it may be read. 400: no JSON; 422: not
// this.
Result<AssessmentBody, Rejection> parse_assessment_body(std::string_view json, bool padded,
                                                        BodyContext context = BodyContext::request);
Result<ChangesBody, Rejection> parse_changes_body(std::string_view json, bool padded);
// The same for what is already parsed: an element of a batch's list.
Result<AssessmentBody, Rejection> parse_assessment_body(simdjson::dom::element element, BodyContext context);

// The list of a batch's items; the elements live until the next parse on this thread.
Result<simdjson::dom::array, Rejection> parse_list(std::string_view json, bool padded);

// Of what is no JSON object: why.
Rejection why_no_object(std::string_view json);

// "Idempotency-Key": 1 to 255 visible ASCII characters.
std::optional<Rejection> problem_with_key(std::string_view field, std::string_view key);

}  // namespace assay
