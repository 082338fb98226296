#include "ingest/feedback/feedback_request.hpp"

#include "ingest/http/given_ids.hpp"

namespace assay {

Result<FeedbackRequest, Rejection> read_feedback_request(const Request& request) {
  auto query = Query::parse(request.query);
  if (!query) return query.error();
  FeedbackRequest asked{.query = std::move(*query)};
  for (const auto kind : {Target::Kind::trace_id, Target::Kind::client_request_id}) {
    Target target{kind, {}};
    const auto id = asked.query.get(target.field());
    if (!id) continue;
    if (asked.target) return Rejection{400, "trace_id", "trace_id and client_request_id are both given: one is enough"};
    if (auto problem = problem_with_target_id(target.field(), *id)) return *problem;
    target.id = *id;
    asked.target = std::move(target);
  }
  if (const auto key = request.header("Idempotency-Key")) {
    if (request.count("Idempotency-Key") > 1) return Rejection{400, "Idempotency-Key", "it is given twice"};
    if (auto problem = problem_with_key("Idempotency-Key", *key)) return *problem;
    asked.key = *key;
  }
  if (const auto header = request.header("X-User-ID")) {
    if (request.count("X-User-ID") > 1) return Rejection{400, "X-User-ID", "it is given twice"};
    if (auto problem = problem_with_id("X-User-ID", *header)) return *problem;
    asked.user = *header;
  }
  if (const auto user = asked.query.get("user_id")) {
    if (auto problem = problem_with_id("user_id", *user)) return *problem;
    asked.user = *user;
  }
  if (request.capability) {
    const auto& capability = *request.capability;
    asked.capability = &capability;
    if (!capability.user.empty()) asked.user = capability.user;
    if (asked.target) {
      const auto& own =
          asked.target->kind == Target::Kind::trace_id ? capability.trace_id : capability.client_request_id;
      if (own.empty() || own != asked.target->id)
        return Rejection{403, std::string(asked.target->field()), "the feedback token is for another answer"};
      // A client_request_id may be another answer's by now: the token's own trace is meant.
      if (!capability.trace_id.empty()) asked.target = Target{Target::Kind::trace_id, capability.trace_id};
    }
  }
  return asked;
}

void imply_target(FeedbackRequest& asked) {
  if (!asked.capability || asked.target) return;
  const auto& [trace_id, request_id, user, names, expires_at] = *asked.capability;
  asked.target =
      trace_id.empty() ? Target{Target::Kind::client_request_id, request_id} : Target{Target::Kind::trace_id, trace_id};
}

Result<FeedbackRequest, Rejection> read_targeted_request(const Request& request, Target::Kind usual) {
  auto asked = read_feedback_request(request);
  if (!asked) return asked;
  imply_target(*asked);
  if (asked->target) return asked;
  const Target missing{usual, {}};
  const Target other{usual == Target::Kind::trace_id ? Target::Kind::client_request_id : Target::Kind::trace_id, {}};
  return Rejection{400, std::string(missing.field()), "it is missing (or " + std::string(other.field()) + ")"};
}

std::optional<Rejection> hold_to_capability(const FeedbackRequest& asked, AssessmentBody& body) {
  if (!asked.capability) return {};
  if (!asked.capability->allows(body.name))
    return Rejection{403, "name", "the feedback token does not allow an assessment of this name"};
  if (body.source_type != "HUMAN") return Rejection{403, "source", "a feedback token is for people"};
  if (!asked.capability->user.empty()) body.source_id.clear();
  return {};
}

}  // namespace assay
