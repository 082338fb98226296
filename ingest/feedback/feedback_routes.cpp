#include "ingest/feedback/feedback_routes.hpp"

#include "ingest/http/json_body.hpp"

namespace assay {

namespace {

using FeedbackHandler = Task<Response> (*)(FeedbackDoor&, Request&);

Task<Response> refuse_forms(FeedbackHandler handler, FeedbackDoor& door, Request& request) {
  if (const auto problem = problem_with_form(request)) co_return error_response(request.path, *problem);
  co_return co_await handler(door, request);
}

}  // namespace

void add_feedback_routes(Router& router, FeedbackDoor& door) {
  using Verb = http::verb;
  const RouteOptions one{.scope = Scope::feedback, .capability = true, .body_bytes_max = door.config.body_bytes_max};
  const RouteOptions many{.scope = Scope::feedback, .body_bytes_max = door.config.batch_bytes_max};
  const RouteOptions read{.scope = Scope::read, .capability = true, .body_bytes_max = 0};
  const auto add = [&](Verb verb, std::string pattern, FeedbackHandler handler, const RouteOptions& options) {
    router.add(
        verb, std::move(pattern), [&door, handler](Request& request) { return handler(door, request); }, options);
  };
  const auto add_with_body = [&](Verb verb, std::string pattern, FeedbackHandler handler, const RouteOptions& options) {
    router.add(
        verb, std::move(pattern), [&door, handler](Request& request) { return refuse_forms(handler, door, request); },
        options);
  };
  add_with_body(Verb::post, "/feedback", post_feedback, one);
  add(Verb::post, "/detailed-feedback", post_detailed_feedback, one);
  add_with_body(Verb::post, "/feedback/batch", post_batch, many);
  add_with_body(Verb::patch, "/feedback/{assessment_id}", patch_feedback, one);
  add(Verb::delete_, "/feedback/{assessment_id}", delete_feedback, one);
  add(Verb::get, "/feedback/{assessment_id}", get_receipt, read);
}

}  // namespace assay
