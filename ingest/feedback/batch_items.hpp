#pragma once
// The items of one batch, read. Pure.
#include <vector>

#include "ingest/feedback/assessment_body.hpp"
#include "ops/runtime/clock.hpp"

namespace assay {

// What becomes of one item: refused before the append, or one record of it.
struct BatchItem {
  std::optional<Rejection> rejection;
  FeedbackRecord feedback;
};

// A JSON list, or one document a line: a line that is none harms no other. `user`: who says what names nobody.
// SIMDJSON_PADDING bytes behind the body may be read.
Result<std::vector<BatchItem>, Rejection> read_batch(std::string_view body, std::string_view user, Instant now,
                                                     std::size_t items_max);

}  // namespace assay
