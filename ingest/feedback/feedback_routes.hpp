#pragma once
// The doors for feedback:
//
//   POST /feedback                     one assessment of an answer, by trace_id or client_request_id
//   POST /detailed-feedback            accuracy, helpfulness and relevance at once, 1 to 5
//   POST /feedback/batch               many, each with its own fate
//   PATCH, DELETE /feedback/{id}       a change of mind
//   GET /feedback/{id}                 the receipt: where it is now
#include "ingest/feedback/feedback_door.hpp"
#include "ingest/http/router.hpp"

namespace assay {

// `door` outlives the router.
void add_feedback_routes(Router& router, FeedbackDoor& door);

// One file each.
Task<Response> post_feedback(FeedbackDoor& door, Request& request);
Task<Response> post_detailed_feedback(FeedbackDoor& door, Request& request);
Task<Response> post_batch(FeedbackDoor& door, Request& request);
Task<Response> patch_feedback(FeedbackDoor& door, Request& request);
Task<Response> delete_feedback(FeedbackDoor& door, Request& request);
Task<Response> get_receipt(FeedbackDoor& door, Request& request);

}  // namespace assay
