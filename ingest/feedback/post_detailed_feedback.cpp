#include "ingest/feedback/body_fields.hpp"
#include "ingest/feedback/feedback_routes.hpp"
#include "ingest/http/body_limits.hpp"
#include "ops/runtime/parse_number.hpp"
#include "storage/records/json_writer.hpp"

namespace assay {
namespace {

constexpr std::string_view dimensions[] = {"accuracy", "helpfulness", "relevance"};

struct Scores {
  int of[std::size(dimensions)];
};

Result<Scores, Rejection> read_scores(const Query& query) {
  Scores scores{};
  for (std::size_t i = 0; i < std::size(dimensions); ++i) {
    const auto text = query.get(dimensions[i]);
    if (!text) return Rejection{422, std::string(dimensions[i]), "it is missing"};
    const auto score = parse_number<int>(*text);
    if (!score || *score < 1 || *score > 5)
      return Rejection{422, std::string(dimensions[i]), "it is not an integer from 1 to 5"};
    scores.of[i] = *score;
  }
  return scores;
}

// user_accuracy, …: the score over five; the comment goes with the accuracy only.
std::vector<AssessmentBody> bodies_of(const Scores& scores, std::string_view user,
                                      std::optional<std::string_view> comment) {
  std::vector<AssessmentBody> bodies;
  for (std::size_t i = 0; i < std::size(dimensions); ++i) {
    AssessmentBody body{.name = "user_" + std::string(dimensions[i]), .source_id = std::string(user)};
    std::string object;
    JsonWriter json(object);
    json.begin_object().key("feedback").begin_object().field("value", scores.of[i] / 5.0).end_object();
    if (i == 0 && comment) json.field("rationale", *comment);
    json.end_object();
    body.members = members_of(object);
    bodies.push_back(std::move(body));
  }
  return bodies;
}

}  // namespace

Task<Response> post_detailed_feedback(FeedbackDoor& door, Request& request) {
  const auto asked = read_targeted_request(request, Target::Kind::trace_id);
  if (!asked) co_return error_response(request.path, asked.error());
  const auto scores = read_scores(asked->query);
  if (!scores) co_return error_response(request.path, scores.error());
  const bool named = asked->capability && !asked->capability->user.empty();
  if (!named && !asked->query.get("user_id")) co_return error_response(request.path, 422, "it is missing", "user_id");
  const auto comment = asked->query.get("comment");
  if (comment && comment->size() > BodyLimits::text_bytes)
    co_return error_response(request.path, 422, "it is too long", "comment");
  if (comment && comment->find('\0') != comment->npos)
    co_return error_response(request.path, 422, "it has U+0000", "comment");
  auto bodies = bodies_of(*scores, asked->user, comment);
  for (auto& body : bodies)
    if (const auto problem = hold_to_capability(*asked, body)) co_return error_response(request.path, *problem);
  const auto feedback = new_feedback(door, "detailed-feedback", *asked, bodies);
  auto accepted = co_await accept(door, request, feedback);
  if (!accepted) co_return std::move(accepted.error());

  std::string more;
  JsonWriter json(more);
  json.begin_object().key("feedback_recorded").begin_object();
  for (std::size_t i = 0; i < std::size(dimensions); ++i) json.field(dimensions[i], scores->of[i]);
  json.end_object().key("assessment_ids").begin_object();
  for (std::size_t i = 0; i < std::size(dimensions); ++i) json.field(dimensions[i], feedback.items[i].assessment_id);
  json.end_object().end_object();
  co_return accepted_response(door, feedback.target, *accepted, members_of(more));
}

}  // namespace assay
