#include "ingest/feedback/feedback_door.hpp"

#include <algorithm>
#include <boost/beast/core/string.hpp>

#include "ingest/http/given_ids.hpp"
#include "ops/runtime/parse_number.hpp"
#include "storage/records/json_writer.hpp"

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

std::optional<Rejection> problem_with_owner(const FeedbackDoor& door, const FeedbackRequest& asked,
                                            std::string_view id) {
  if (!asked.capability) return {};
  const auto* keys = door.gate ? door.gate->capability_keys() : nullptr;
  if (keys && keys->owns(*asked.capability, id)) return {};
  return Rejection{403, "assessment_id", "it was not said with this feedback token"};
}

std::optional<std::string> known_trace(FeedbackDoor& door, const Target& target) {
  if (!door.view) return {};
  if (auto trace = door.view->trace_of(target.id); trace && *trace) return std::move(*trace);
  return door.recent.find(target.id);
}

Task<std::vector<TraceOfTarget>> find_traces(FeedbackDoor& door, std::vector<Target> targets) {
  std::vector<TraceOfTarget> found;
  std::vector<Target> missing;
  std::vector<std::size_t> missing_at;
  for (auto& target : targets) {
    auto trace = known_trace(door, target);
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

namespace {

constexpr std::chrono::seconds wait_max{10};

std::string_view without_blanks(std::string_view text) {
  constexpr std::string_view blanks = " \t";
  text.remove_prefix(std::min(text.size(), text.find_first_not_of(blanks)));
  return text.substr(0, text.find_last_not_of(blanks) + 1);
}

// wait=5
std::optional<std::chrono::seconds> wait_in(std::string_view preference) {
  const auto equals = preference.find('=');
  if (!boost::beast::iequals(without_blanks(preference.substr(0, equals)), "wait") || equals == preference.npos)
    return {};
  const auto seconds = parse_number<std::uint32_t>(without_blanks(preference.substr(equals + 1)));
  if (!seconds) return {};
  return std::min(wait_max, std::chrono::seconds(*seconds));
}

// Prefer: respond-async, wait=5; in one line or several.
std::optional<std::chrono::seconds> preferred_wait(const Request& request) {
  for (const auto& field : request.headers) {
    if (!boost::beast::iequals(field.name, "Prefer")) continue;
    for (std::string_view rest = field.value; !rest.empty();) {
      const auto item = rest.substr(0, rest.find(','));
      rest.remove_prefix(std::min(rest.size(), item.size() + 1));
      if (const auto wait = wait_in(item)) return wait;
    }
  }
  return {};
}

}  // namespace

Task<Result<Accepted, Response>> accept(FeedbackDoor& door, const Request& request, const FeedbackRecord& feedback,
                                        Counter& counter) {
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
  if (appended->outcome == Appended::Outcome::conflict) {
    door.metrics.conflicts.Increment();
    co_return error_response(request.path, 422, "it was used before, with another body", "Idempotency-Key");
  }
  if (appended->outcome == Appended::Outcome::duplicate)
    door.metrics.repeated.Increment();
  else
    counter.Increment(static_cast<double>(feedback.items.size()));
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
