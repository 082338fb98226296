#include "ingest/feedback/feedback_routes.hpp"

namespace assay {

void add_feedback_routes(Router& router, FeedbackDoor& door) {
  using Verb = http::verb;
  const RouteOptions one{.scope = Scope::feedback, .capability = true, .body_bytes_max = door.config.body_bytes_max};
  const RouteOptions many{.scope = Scope::feedback, .body_bytes_max = door.config.batch_bytes_max};
  const RouteOptions read{.scope = Scope::read, .capability = true, .body_bytes_max = 0};
  const auto add = [&](Verb verb, std::string pattern, Task<Response> (*handler)(FeedbackDoor&, Request&),
                       const RouteOptions& options) {
    router.add(
        verb, std::move(pattern), [&door, handler](Request& request) { return handler(door, request); }, options);
  };
  add(Verb::post, "/feedback", post_feedback, one);
  add(Verb::post, "/detailed-feedback", post_detailed_feedback, one);
  add(Verb::post, "/feedback/batch", post_batch, many);
  add(Verb::patch, "/feedback/{assessment_id}", patch_feedback, one);
  add(Verb::delete_, "/feedback/{assessment_id}", delete_feedback, one);
  add(Verb::get, "/feedback/{assessment_id}", get_receipt, read);
}

}  // namespace assay
