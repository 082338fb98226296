#pragma once
// What a change would make of a stored assessment, so that changes together are held to what a create may have.
#include <optional>

#include "ingest/http/error_response.hpp"
#include "storage/records/feedback_record.hpp"
#include "storage/store/assessment_row.hpp"

namespace assay {

// Malformed: as the sinks would find it, a dead letter.
Result<AssessmentRow, Malformed> changed_by(AssessmentRow row, const FeedbackRecord& change);

// Metadata is merged key by key: of what has grown over the bounds of a create, that it has.
std::optional<Rejection> problem_with_metadata(const AssessmentRow& before, const AssessmentRow& after);

}  // namespace assay
