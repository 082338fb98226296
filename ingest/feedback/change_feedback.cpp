#include "ingest/feedback/changed_row.hpp"
#include "ingest/feedback/changes_body.hpp"
#include "ingest/feedback/feedback_routes.hpp"
#include "ingest/feedback/parked_rows.hpp"
#include "ingest/http/given_ids.hpp"
#include "ops/runtime/ids.hpp"
#include "storage/records/json_writer.hpp"
#include "storage/state/parked_state.hpp"
#include "storage/store/store.hpp"

namespace assay {
namespace {

// The record of one change of one assessment. Its id comes from the key, never from its body: A, B and A again are
// three. Where it goes is no part of what was said: when it is said again, its trace may be known by the other id.
FeedbackRecord new_change(Op op, std::string_view assessment_id, const Target& target,
                          const std::optional<std::string>& key, std::string_view members, Instant at) {
  FeedbackRecord record{.op = op, .target = target, .accepted_at = at, .idempotent = key.has_value()};
  FeedbackItem item{.assessment_id = std::string(assessment_id)};
  item.record_id =
      key ? derived_id(change_prefix, {*key, "feedback", name_of(op), assessment_id}) : random_id(change_prefix);
  JsonWriter json(item.json);
  json.begin_object().field("assessment_id", assessment_id);
  if (op == Op::update) json.field("last_update_time", format_time(at)).raw(members);
  json.end_object();
  if (key) record.body_hash = content_hash({members});
  record.items.push_back(std::move(item));
  return record;
}

struct Place {
  Target target;
  std::string trace_id = {};  // where it is known
  bool deleted = false;
};

// What may be said again goes by the id that the create came with: so a repeat meets the first one, since their
// partition is the same, whether the trace has come meanwhile or not. Only an id that names another trace by now does
// not do; and what is not said again needs no id that may name another one by the time when a worker reads it.
Target target_in(const FeedbackDoor& door, const Receipt& found, bool keyed) {
  Target by_trace{Target::Kind::trace_id, found.trace_id}, by_request{Target::Kind::client_request_id, {}};
  by_request.id = found.client_request_id;
  if (by_request.id.empty()) return by_trace;
  if (found.state != Receipt::State::committed) return by_request;
  if (!keyed) return by_trace;
  const auto named = door.view->trace_of(by_request.id);
  return named && *named == found.trace_id ? by_request : by_trace;
}

// Where the change goes: to where its create went. Given with the request, or found in the view. What was taken back
// can be taken back again (the client may have missed the answer), but not changed.
Task<Result<Place, Rejection>> place_of(FeedbackDoor& door, std::string_view id, const FeedbackRequest& asked, Op op) {
  using Answer = Result<Place, Rejection>;
  if (!door.view) {
    if (asked.target) co_return Answer(Place{*asked.target});
    co_return Answer(Rejection{400, "client_request_id",
                               "it is missing (or trace_id): this door can't look up where the feedback went"});
  }
  // Where the log is away the view can't come up to it: what it knows of this feedback will do.
  const auto [applied, receipt] = co_await find_receipt(door, id);
  if (!receipt) co_return Answer(Rejection{503, "", receipt.error().message()});
  if (!*receipt) {
    if (asked.target && !door.config.view_is_complete) co_return Answer(Place{*asked.target});
    if (!applied) co_return Answer(Rejection{503, "", "what was written before could not be read in time"});
    co_return Answer(Rejection{404, "assessment_id", "no feedback is known by this id"});
  }
  const auto& found = **receipt;
  const bool deleted = found.state == Receipt::State::deleted;
  if (deleted && op == Op::update) co_return Answer(Rejection{404, "assessment_id", "this feedback was deleted"});
  // What the request says of its trace is for doors that can't look it up; it must not be somebody else's here.
  if (asked.target && asked.target->kind == Target::Kind::trace_id && !found.trace_id.empty() &&
      asked.target->id != found.trace_id)
    co_return Answer(Rejection{422, "trace_id", "this feedback is about another trace"});
  co_return Answer(Place{target_in(door, found, asked.key.has_value()), found.trace_id, deleted});
}

// What this door can see of the feedback, in the store or parked.
Result<std::optional<AssessmentRow>> standing(const FeedbackDoor& door, const std::string& id, const Target& target) {
  if (!door.view) return std::optional<AssessmentRow>();
  const auto& kv = door.view->kv();
  auto stored = Store(kv).find(id);
  if (!stored) return stored.error();
  if (*stored) return std::optional(std::move((*stored)->row));
  const auto partition = partition_of(target.id, door.log.partitions(Stream::feedback));
  auto parked =
      parked_rows(kv, partition, target.id, target.id);  // its trace is not known, and nothing here asks for it
  if (!parked) return parked.error();
  const auto found = parked->find(id);
  return found == parked->end() ? std::optional<AssessmentRow>() : std::optional(std::move(found->second));
}

// The value of an expectation is no feedback; MLflow's own door changes it.
std::optional<Rejection> problem_with_value(const AssessmentRow& row, std::string_view members) {
  if (!members.starts_with(R"("feedback":)") || !row.is_expectation()) return {};
  return Rejection{422, "value", "this is an expectation: its value is changed by PATCH of MLflow's API"};
}

// Changes are merged.
std::optional<Rejection> problem_with_metadata(const AssessmentRow& row, const FeedbackRecord& change) {
  const auto& item = change.items.front();
  if (change.op != Op::update || item.json.find(R"("metadata":)") == item.json.npos || !row.base()) return {};
  const auto changed = changed_by(row, change);
  if (!changed) return Rejection{422, "metadata", changed.error().reason};
  return problem_with_metadata(row, *changed);
}

// Whether the change waits for its trace, as far as this door sees.
bool waits(const FeedbackDoor& door, const FeedbackRecord& change) {
  const auto partition = partition_of(change.target.id, door.log.partitions(Stream::feedback));
  const auto found = find_parked(door.view->kv(), partition, {&change.items.front().record_id, 1});
  return found && found->front();
}

Response changed_response(unsigned status, std::string_view durability, std::string_view id, const Place& place) {
  Response response{.status = status};
  response.headers.emplace_back("Assay-Durability", durability);
  JsonWriter json(response.body);
  json.begin_object().field("status", status == 200 ? "deleted" : "accepted").field("assessment_id", id);
  if (!place.trace_id.empty())
    json.field("trace_id", place.trace_id);
  else if (!place.target.id.empty())  // none is known of what was taken back before its trace came
    json.field(place.target.field(), place.target.id);
  json.end_object();
  return response;
}

Task<Response> change(FeedbackDoor& door, Request& request, Op op, std::string_view members) {
  auto asked = read_feedback_request(request);
  if (!asked) co_return error_response(request.path, asked.error());
  if (!door.view) imply_target(*asked);
  const auto id = request.params[0];
  if (const auto problem = problem_with_id("assessment_id", id)) co_return error_response(request.path, *problem);
  if (const auto problem = problem_with_owner(door, *asked, id)) co_return error_response(request.path, *problem);
  const auto place = co_await place_of(door, id, *asked, op);
  if (!place) co_return error_response(request.path, place.error());
  const auto& target = place->target;
  // The log has its deletion already.
  if (place->deleted) co_return changed_response(200, door.log.durability(), id, *place);

  const auto stands = standing(door, std::string(id), target);
  if (!stands) co_return error_response(request.path, stands.error());
  const AssessmentRow row = stands->value_or(AssessmentRow());
  if (const auto problem = problem_with_value(row, members)) co_return error_response(request.path, *problem);
  // After all of it, so that it counts: a clock that was set back, or is behind another door's, would make it the
  // older.
  const auto at = door.change_times.next(id, std::max(door.clock.now(), row.after()));
  const auto feedback = new_change(op, id, target, asked->key, members, at);
  if (const auto problem = problem_with_metadata(row, feedback)) co_return error_response(request.path, *problem);
  auto accepted = co_await accept(door, request, feedback);
  if (!accepted) co_return std::move(accepted.error());

  auto response = changed_response(202, durability_of(door.log, accepted->appended), id, *place);
  if (!door.view) co_return response;
  const auto applied = co_await door.view->applied(door.config.view_wait);
  if (!applied) co_return response;
  if (op == Op::erase) {
    const auto receipt = door.view->receipt(id);
    const bool gone = receipt && *receipt && (*receipt)->state == Receipt::State::deleted;
    if (gone) response = changed_response(200, durability_of(door.log, accepted->appended), id, *place);
    co_return response;
  }
  if (waits(door, feedback)) co_return response;
  if (auto stands = door.view->assessment(id); stands && *stands) {
    response.status = 200;
    response.body = std::move(**stands);
  }
  co_return response;
}

}  // namespace

Task<Response> patch_feedback(FeedbackDoor& door, Request& request) {
  const auto body = parse_changes_body(request.body, true);
  if (!body) co_return error_response(request.path, body.error());
  co_return co_await change(door, request, Op::update, body->members);
}

Task<Response> delete_feedback(FeedbackDoor& door, Request& request) { return change(door, request, Op::erase, {}); }

}  // namespace assay
