#pragma once
// Who says it, and of what: from the query, the headers and the capability of a request for feedback. Pure.
#include <optional>
#include <string>

#include "ingest/access/capability.hpp"
#include "ingest/feedback/assessment_body.hpp"
#include "ingest/http/query.hpp"
#include "ingest/http/request.hpp"
#include "ops/runtime/result.hpp"
#include "storage/records/feedback_record.hpp"

namespace assay {

struct FeedbackRequest {
  Query query;
  std::optional<Target> target;
  std::optional<std::string> key;          // Idempotency-Key
  std::string user;                        // of the capability, else user_id of the query, else X-User-ID, else empty
  const Capability* capability = nullptr;  // what the caller may do, where it came with one
};
// 403 where a capability is for another answer.
Result<FeedbackRequest, Rejection> read_feedback_request(const Request& request);
// The same, of a door that must be told what the feedback is about; `usual`: the id that a missing one is called by.
Result<FeedbackRequest, Rejection> read_targeted_request(const Request& request, Target::Kind usual);

// A create without a target of its own is about the capability's answer.
void imply_target(FeedbackRequest& asked);
// What the capability does not allow of this; as whom it is said is the capability's to say.
std::optional<Rejection> hold_to_capability(const FeedbackRequest& asked, AssessmentBody& body);
}  // namespace assay
