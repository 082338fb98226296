#include "ingest/feedback/feedback_routes.hpp"
#include "storage/records/json_writer.hpp"

namespace assay {

Task<Response> post_feedback(FeedbackDoor& door, Request& request) {
  const auto asked = read_targeted_request(request, Target::Kind::client_request_id);
  if (!asked) co_return error_response(request.path, asked.error());
  auto body = parse_assessment_body(request.body, true);
  if (!body) co_return error_response(request.path, body.error());
  if (const auto problem = hold_to_capability(*asked, *body)) co_return error_response(request.path, *problem);
  const auto feedback = new_feedback(door, "feedback", *asked, {&*body, 1});
  auto accepted = co_await accept(door, request, feedback);
  if (!accepted) co_return std::move(accepted.error());
  std::string id = R"("assessment_id":)";
  append_json_string(id, feedback.items.front().assessment_id);
  co_return accepted_response(door, feedback.target, *accepted, id);
}

}  // namespace assay
