#include "ingest/feedback/feedback_door.hpp"

#include "ingest/http/prefer.hpp"
#include "storage/records/json_writer.hpp"

namespace assay {

const CapabilityKeys* capability_keys(const FeedbackDoor& door) {
  return door.gate ? door.gate->capability_keys() : nullptr;
}

FeedbackRecord new_feedback(const FeedbackDoor& door, std::string_view name, const FeedbackRequest& asked,
                            std::span<const AssessmentBody> bodies) {
  FeedbackSource source{
      .door = name, .target = *asked.target, .key = asked.key, .user = asked.user, .now = door.clock.now()};
  if (const auto* keys = capability_keys(door); keys && asked.capability) source.mark.emplace(*keys, *asked.capability);
  return new_feedback(source, bodies);
}

std::optional<Rejection> problem_with_owner(const FeedbackDoor& door, const FeedbackRequest& asked,
                                            std::string_view id) {
  if (!asked.capability) return {};
  const auto* keys = capability_keys(door);
  if (keys && keys->owns(*asked.capability, id)) return {};
  return Rejection{403, "assessment_id", "it was not said with this feedback token"};
}

// What is released from where it waited is nowhere until the store has read it: whoever finds nothing asks once more.
Task<KnownReceipt> find_receipt(FeedbackDoor& door, std::string_view assessment_id) {
  KnownReceipt known{Result<void>(), Result<std::optional<Receipt>>(std::nullopt)};
  for (int looks = 0; looks < 2; ++looks) {
    known.applied = co_await door.view->applied(door.config.view_wait);
    known.receipt = door.view->receipt(assessment_id);
    if (!known.applied || !known.receipt || *known.receipt) break;
  }
  // The view has not come so far, or the workers have not.
  if (!known.applied && known.receipt && !*known.receipt) known.receipt = door.accepted.find(assessment_id);
  co_return known;
}

namespace {

struct Named {
  std::optional<std::string> trace;
  bool told_anew =
      false;  // this door has told it of another trace: the index is behind, or ahead of what the door knows
};

Named named_by(const FeedbackDoor& door, const Target& target) {
  if (!door.view) return {};
  auto told = door.recent.find(target.id, door.view->told_since());
  auto indexed = door.view->trace_of(target.id);
  if (!indexed || !*indexed) return {std::move(told)};
  const bool told_anew = told && *told != **indexed;
  return {std::move(*indexed), told_anew};
}

}  // namespace

std::optional<std::string> known_trace(FeedbackDoor& door, const Target& target) {
  return named_by(door, target).trace;
}

Task<std::vector<TraceOfTarget>> find_traces(FeedbackDoor& door, std::vector<Target> targets) {
  std::vector<TraceOfTarget> found;
  std::vector<Target> missing;
  std::vector<std::size_t> missing_at;
  for (auto& target : targets) {
    auto named = named_by(door, target);
    if (named.told_anew) {
      (void)co_await door.view->applied(door.config.view_wait);
      named = named_by(door, target);
    }
    auto& trace = named.trace;
    const auto deleted = trace ? door.view->deleted(*trace) : Result<bool>(false);
    if (deleted && *deleted) {
      found.emplace_back(Rejection{404, std::string(target.field()), "its trace was deleted"});
      continue;
    }
    if (!trace) {
      missing_at.push_back(found.size());
      missing.push_back(std::move(target));
    }
    found.emplace_back(std::move(trace));
  }
  if (missing.empty() || !door.unknown) co_return found;
  const auto unknown = co_await door.unknown->surely(missing);
  for (std::size_t i = 0; i < missing.size(); ++i)
    if (unknown[i])
      found[missing_at[i]] = Rejection{404, std::string(missing[i].field()), "no trace is known by this id"};
    else
      found[missing_at[i]] = known_trace(door, missing[i]);
  co_return found;
}

Task<Result<Accepted, Response>> accept(FeedbackDoor& door, const Request& request, const FeedbackRecord& feedback) {
  Accepted accepted;
  if (feedback.op == Op::create) {
    std::vector<Target> targets(1, feedback.target);
    auto traces = co_await find_traces(door, std::move(targets));
    if (!traces.front()) co_return error_response(request.path, traces.front().error());
    accepted.trace = std::move(*traces.front());
  }
  auto record = to_record(feedback);
  const auto appended = co_await door.log.append(std::move(record));
  if (!appended) co_return error_response(request.path, appended.error());
  door.metrics.count(feedback.op, appended->outcome, feedback.items.size());
  if (appended->outcome == Appended::Outcome::conflict)
    co_return error_response(request.path, 422, "it was used before, with another body", "Idempotency-Key");
  accepted.appended = *appended;
  if (!door.view || feedback.op != Op::create) co_return accepted;
  door.accepted.add(feedback);
  if (const auto wait = preferred_wait(request)) {
    const auto applied = co_await door.view->applied(*wait);
    if (applied) accepted.waited = wait;
    if (!accepted.trace) accepted.trace = known_trace(door, feedback.target);
  }
  co_return accepted;
}

Response accepted_response(FeedbackDoor& door, const Target& target, const Accepted& accepted,
                           const std::string& more) {
  Response response;
  response.headers.emplace_back("Assay-Durability", durability_of(door.log, accepted.appended));
  if (accepted.waited)
    response.headers.emplace_back("Preference-Applied", "wait=" + std::to_string(accepted.waited->count()));
  JsonWriter json(response.body);
  json.begin_object();
  if (accepted.trace) {
    json.field("status", "success").field("trace_id", *accepted.trace);
  } else {
    response.status = 202;
    json.field("status", "accepted").field(target.field(), target.id);
  }
  json.raw(more).end_object();
  return response;
}

}  // namespace assay
