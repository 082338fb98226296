#include "ingest/feedback/feedback_routes.hpp"
#include "storage/records/json_writer.hpp"

namespace assay {

Task<Response> post_feedback(FeedbackDoor& door, Request& request) {
  auto asked = read_asked(request);
  if (!asked) co_return error_response(request.path, asked.error());
  imply_target(*asked);
  if (!asked->target) co_return error_response(request.path, 400, "it is missing (or trace_id)", "client_request_id");
  auto body = parse_assessment_body(request.body, true);
  if (!body) co_return error_response(request.path, body.error());
  if (const auto problem = hold_to_capability(*asked, *body)) co_return error_response(request.path, *problem);
  const auto& target = *asked->target;
  const auto unknown = co_await unknown_trace(door, target);
  if (unknown) co_return error_response(request.path, *unknown);

  const auto feedback = new_feedback("feedback", target, asked->key, asked->user, {&*body, 1}, door.clock.now(),
                                     door.gate ? door.gate->capability_keys() : nullptr, asked->capability);
  auto record = to_record(feedback);
  const auto appended = co_await door.log.append(std::move(record));
  if (!appended) co_return error_response(request.path, appended.error());
  if (appended->outcome == Appended::Outcome::conflict) {
    door.metrics.conflicts.Increment();
    co_return error_response(request.path, 422, "it was used before, with another body", "Idempotency-Key");
  }
  (appended->outcome == Appended::Outcome::duplicate ? door.metrics.repeated : door.metrics.created).Increment();
  std::string id = R"("assessment_id":)";
  append_json_string(id, feedback.items.front().assessment_id);
  co_return accepted_response(door, target, appended, id);
}

}  // namespace assay
