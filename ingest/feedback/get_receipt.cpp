#include "ingest/feedback/feedback_routes.hpp"
#include "ingest/http/given_ids.hpp"

namespace assay {

Task<Response> get_receipt(FeedbackDoor& door, Request& request) {
  if (!door.view)
    co_return error_response(request.path, 501,
                             "this front door keeps no receipts: read the topics, or the MLflow behind the workers");
  const auto id = request.params[0];
  if (const auto problem = problem_with_id("assessment_id", id)) co_return error_response(request.path, *problem);
  const auto asked = read_feedback_request(request);
  if (!asked) co_return error_response(request.path, asked.error());
  if (const auto problem = problem_with_owner(door, *asked, id)) co_return error_response(request.path, *problem);
  auto [applied, receipt] = co_await find_receipt(door, id);
  if (!receipt) co_return error_response(request.path, receipt.error());
  if (!applied && !*receipt) {
    auto late = error_response(request.path, applied.error());
    late.cause = {};  // nothing was refused that is to be kept
    co_return late;
  }
  if (!*receipt) co_return error_response(request.path, 404, "no feedback is known by this id", "assessment_id");
  Response response;
  response.body = to_json(**receipt);
  co_return response;
}

}  // namespace assay
