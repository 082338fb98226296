#pragma once
// What a client changes of what was said, checked as an assessment is. Pure.
#include <string>
#include <string_view>

#include "ingest/http/error_response.hpp"
#include "ops/runtime/result.hpp"

namespace assay {

// "value" (or "is_correct"), "rationale" (or "comment"; null takes it away), "metadata" (merged). At least one.
struct ChangesBody {
  std::string members;  // as an AssessmentBody's
};

// See parse_assessment_body().
Result<ChangesBody, Rejection> parse_changes_body(std::string_view json, bool padded);

}  // namespace assay
