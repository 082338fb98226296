#include "ingest/mlflow/assessment_routes.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "ingest/feedback/changed_row.hpp"
#include "ingest/http/body_limits.hpp"
#include "ingest/http/given_ids.hpp"
#include "ingest/mlflow/assessment_value.hpp"
#include "ingest/mlflow/parked_assessment.hpp"
#include "ingest/mlflow/pending.hpp"
#include "ingest/mlflow/trace_request.hpp"
#include "ops/runtime/ids.hpp"
#include "storage/records/json_writer.hpp"
#include "storage/store/store.hpp"

namespace assay {
namespace {

namespace json = boost::json;

MlflowError no_trace(std::string_view trace_id) {
  return does_not_exist("Trace with ID '" + std::string(trace_id) + "' not found.");
}
MlflowError no_assessment(std::string_view id, std::string_view trace_id) {
  return does_not_exist("Assessment with ID '" + std::string(id) + "' not found for trace '" + std::string(trace_id) +
                        "'");
}

// The assessment where it is one of this trace, committed or parked.
Result<std::optional<Store::Assessment>> find(const MlflowDoor& door, const std::string& trace_id,
                                              const std::string& id) {
  const Store store(door.view->kv());
  const auto located = store.locate(id);
  if (!located) return located.error();
  if (!*located) return parked_assessment(door, trace_id, id);
  if ((*located)->kind != Store::Located::Kind::row || (*located)->trace_id != trace_id)
    return std::optional<Store::Assessment>();
  return store.find(id);
}

// The same, with everything that was acknowledged before; the error is the answer that says why it can't be told. What
// is released from where it waited is nowhere until the store has read it: where nothing is found it is looked for
// again.
Task<Result<std::optional<Store::Assessment>, Response>> find_written(MlflowDoor& door, const Request& request,
                                                                      const std::string& trace_id,
                                                                      const std::string& id) {
  std::optional<Store::Assessment> seen;
  for (int looks = 0; !seen && looks < 2; ++looks) {
    auto refused = co_await ready_to_read(door, request);
    if (refused) co_return std::move(*refused);
    auto found = find(door, trace_id, id);
    if (!found) co_return read_failed(request, found.error());
    seen = std::move(*found);
  }
  co_return std::move(seen);
}

// What an override is about must be there.
Task<std::optional<Response>> problem_with_override(MlflowDoor& door, const Request& request, const std::string& id,
                                                    const std::string& trace_id) {
  if (id.empty() || !door.view) co_return std::nullopt;
  auto found = co_await find_written(door, request, trace_id, id);
  if (!found) co_return std::move(found.error());
  if (*found) co_return std::nullopt;
  co_return error_response(no_assessment(id, trace_id));
}

// A trace that was deleted takes no more; one that nobody knows yet may still come, where the door is told to wait.
Task<std::optional<Response>> problem_with_trace(MlflowDoor& door, const std::string& trace_id) {
  if (door.view) {
    const auto deleted = door.view->deleted(trace_id);
    if (deleted && *deleted) co_return error_response(no_trace(trace_id));
  }
  if (!door.unknown) co_return std::nullopt;
  std::vector<Target> targets(1, Target{Target::Kind::trace_id, trace_id});
  const auto unknown = co_await door.unknown->surely(std::move(targets));
  if (!unknown.front()) co_return std::nullopt;
  co_return error_response(no_trace(trace_id));
}

Task<Response> create(MlflowDoor& door, Request& request) {
  const std::string trace_id(request.params[0]);
  if (const auto problem = problem_with_id("trace_id", trace_id)) co_return error_response(request.path, *problem);
  if (const auto problem = problem_with_content_type(request)) co_return error_response(*problem);
  const auto key = request.header("Idempotency-Key");
  if (key)
    if (const auto problem = problem_with_key("Idempotency-Key", *key))
      co_return error_response(request.path, *problem);
  Sameness sameness;
  if (key)
    sameness.key = std::string(*key);
  else
    sameness.unlike = random_id("");
  auto sent = parse_assessment_request(request.body, trace_id, door.clock.now(), sameness);
  if (!sent) co_return error_response(request.path, sent.error());
  std::optional<Response> refused;
  if (pending::request_of(trace_id) && !door.unknown)
    sent->record.target = target_of(trace_id);
  else
    refused = co_await problem_with_trace(door, trace_id);
  if (refused) co_return std::move(*refused);
  if (!sent->overrides.empty()) {
    const auto resolved = pending::resolved(door, trace_id);
    refused = co_await problem_with_override(door, request, sent->overrides, resolved);
    if (refused) co_return std::move(*refused);
  }
  auto record = to_record(sent->record);
  const auto appended = co_await door.log.append(std::move(record));
  if (!appended) co_return error_response(request.path, appended.error());
  door.metrics.count(Op::create, appended->outcome);
  if (appended->outcome == Appended::Outcome::conflict) {
    MlflowError conflict{"RESOURCE_CONFLICT", key ? "this Idempotency-Key was used for something else"
                                                  : "this assessment_id was used for something else"};
    co_return error_response(conflict);
  }
  // What stands has the times of the first try.
  if (appended->outcome == Appended::Outcome::duplicate && key && door.view) {
    const auto resolved = pending::resolved(door, trace_id);
    auto found = co_await find_written(door, request, resolved, sent->record.items.front().assessment_id);
    if (found && *found) co_return durable(door, R"({"assessment":)" + (*found)->row.json((*found)->valid) + "}");
  }
  sent->json["trace_id"] = trace_id;
  co_return durable(door, R"({"assessment":)" + json::serialize(sent->json) + "}");
}

bool was_taken_back(const MlflowDoor& door, const std::string& id) {
  const auto receipt = door.view->receipt(id);
  return receipt && *receipt && (*receipt)->state == Receipt::State::deleted;
}

// As trace_not_found has it: an MLflow server behind this door is asked, but not for what was deleted here.
Response not_found(MlflowDoor& door, const std::string& trace_id, const std::string& id) {
  const auto trace = Store(door.view->kv()).trace(trace_id);
  const auto missing = trace && !*trace ? does_not_exist("Trace with request_id '" + trace_id + "' not found")
                                        : no_assessment(id, trace_id);
  auto response = error_response(missing);
  if (door.config.server_behind && was_taken_back(door, id)) response.status = 410;
  return response;
}

Task<Response> get(MlflowDoor& door, Request& request) {
  const auto trace_id = pending::resolved(door, request.params[0]);
  const std::string id(request.params[1]);
  auto found = co_await find_written(door, request, trace_id, id);
  if (!found) co_return std::move(found.error());
  if (!*found) co_return not_found(door, trace_id, id);
  co_return answer(R"({"assessment":)" + (*found)->row.json((*found)->valid) + "}");
}

// A door without a view takes them as they are.
std::optional<Rejection> problem_with_ids(const Request& request) {
  if (auto problem = problem_with_id("trace_id", request.params[0])) return problem;
  return problem_with_id("assessment_id", request.params[1]);
}

// The fields that an update's mask names, as members of a change.
Result<json::object, MlflowError> read_changes(const Request& request) {
  const auto body = read_body(request);
  if (!body) return body.error();
  const auto* assessment = body->if_contains("assessment");
  if (!assessment || !assessment->is_object()) return missing("assessment");
  const auto* given = body->if_contains("update_mask");
  if (!given || (given->is_string() && given->get_string().empty())) return missing("update_mask");
  const auto mask = text_in(*body, "update_mask");  // MLflow takes what is no text for one that names nothing
  const auto from = fields_of(assessment->get_object());
  json::object changes;
  for (std::string_view rest = mask; !rest.empty();) {
    const auto path = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), path.size() + 1));
    // Paths are in camel case. A field that the mask names and the message lacks has its default.
    const auto name = path == "assessmentName" ? std::string_view("assessment_name") : path;
    const auto* value = from.if_contains(name);
    if (name == "feedback" || name == "expectation") {
      auto said = read_assessment_value(name, value ? *value : json::value(json::object()));
      if (!said)
        return said.error().field.empty() ? invalid_parameter(said.error().reason)
                                          : invalid_parameter(said.error().field + ": " + said.error().reason);
      changes[name] = std::move(*said);
    } else if (name == "metadata" && value) {
      if (!value->is_object()) return wrong_value(name, *value, python_type(*value));
      for (const auto& [key, entry] : value->get_object())
        if (!entry.is_string()) return wrong_value(name, *value, "dict");
      if (holds_nul(value->get_object())) return invalid_parameter("metadata: it has U+0000");
      changes[name] = *value;
    } else if (name == "rationale" || path == "assessmentName") {
      if (value && !value->is_string()) return wrong_value(name, *value, python_type(*value));
      const auto bytes_max = name == "rationale" ? rationale_bytes_max : BodyLimits::name_bytes;
      if (value && value->get_string().size() > bytes_max)
        return invalid_parameter(std::string(name) + ": it is longer than " + std::to_string(bytes_max) + " bytes");
      if (value && value->get_string().find('\0') != json::string::npos)
        return invalid_parameter(std::string(name) + ": it has U+0000");
      changes[name] = value ? *value : json::value("");
    }
  }
  return changes;
}

std::optional<MlflowError> problem_with_kind(const json::object& changes, const Store::Assessment& existing) {
  const bool feedback = changes.contains("feedback"), expectation = changes.contains("expectation");
  if (feedback && expectation) return invalid_parameter("Cannot specify both `expectation` and `feedback` parameters.");
  const bool is_expectation = existing.row.is_expectation();
  if (expectation && !is_expectation)
    return invalid_parameter("Cannot update expectation value on a Feedback assessment.");
  if (feedback && is_expectation)
    return invalid_parameter("Cannot update feedback value on an Expectation assessment.");
  return {};
}

// MLflow has no bound for it; changes together may make no more of it than one create does.
std::optional<MlflowError> problem_with_size(const MlflowDoor& door, const Store::Assessment& existing,
                                             const FeedbackRecord& change) {
  const auto before = existing.row.json(existing.valid).size();
  const auto changed = changed_by(existing.row, change);
  if (!changed) return invalid_parameter("metadata: " + changed.error().reason);
  const auto after = changed->json(existing.valid).size();
  if (after <= door.config.assessment_bytes_max || after <= before) return {};
  return invalid_parameter("metadata: with what is there the assessment is longer than " +
                           std::to_string(door.config.assessment_bytes_max) + " bytes");
}

FeedbackRecord new_change(Op op, const std::string& trace_id, const std::string& id, const json::object& changes,
                          Instant at) {
  FeedbackRecord record{.op = op, .target = target_of(trace_id), .accepted_at = at};
  json::object item{{"assessment_id", id}};
  if (op == Op::update) item["last_update_time"] = format_time(at);
  for (const auto& [name, value] : changes) item[name] = value;
  record.items.push_back({random_id(change_prefix), id, json::serialize(item)});
  return record;
}

Task<Response> update(MlflowDoor& door, Request& request) {
  if (const auto problem = problem_with_ids(request)) co_return error_response(request.path, *problem);
  const auto trace_id = pending::resolved(door, request.params[0]);
  const std::string id(request.params[1]);
  auto changes = read_changes(request);
  if (!changes) co_return error_response(changes.error());
  auto at = door.clock.now();
  std::optional<Store::Assessment> existing;
  if (door.view) {
    auto found = co_await find_written(door, request, trace_id, id);
    if (!found) co_return std::move(found.error());
    if (!*found) co_return not_found(door, trace_id, id);
    if (auto problem = problem_with_kind(*changes, **found)) co_return error_response(*problem);
    at = std::max(at, (*found)->row.after());
    if ((*found)->row.is_expectation()) changes->erase("rationale");  // MLflow keeps none
    existing = **found;
  }
  const auto change = new_change(Op::update, trace_id, id, *changes, at);
  if (existing)
    if (const auto problem = problem_with_size(door, *existing, change)) co_return error_response(*problem);
  auto record = to_record(change);
  const auto appended = co_await door.log.append(std::move(record));
  if (!appended) co_return error_response(request.path, appended.error());
  door.metrics.count(Op::update, appended->outcome);
  if (door.view) {
    auto refused = co_await ready_to_read(door, request);
    if (refused) co_return std::move(*refused);
    const auto found = find(door, trace_id, id);
    if (found && *found) co_return durable(door, R"({"assessment":)" + (*found)->row.json((*found)->valid) + "}");
  }
  // This door can't read: what was said is what there is.
  (*changes)["assessment_id"] = id;
  (*changes)["trace_id"] = trace_id;
  co_return durable(door, R"({"assessment":)" + json::serialize(*changes) + "}");
}

Task<Response> erase(MlflowDoor& door, Request& request) {
  if (const auto problem = problem_with_ids(request)) co_return error_response(request.path, *problem);
  const auto trace_id = pending::resolved(door, request.params[0]);
  const std::string id(request.params[1]);
  if (door.view) {
    auto found = co_await find_written(door, request, trace_id, id);
    if (!found) co_return std::move(found.error());
    const bool may_be_behind = door.config.server_behind && !*found && !was_taken_back(door, id);
    if (may_be_behind) co_return not_found(door, trace_id, id);  // so it is deleted there
    if (!*found) co_return answer("{}");
  }
  const auto change = new_change(Op::erase, trace_id, id, {}, door.clock.now());
  auto record = to_record(change);
  const auto appended = co_await door.log.append(std::move(record));
  if (!appended) co_return error_response(request.path, appended.error());
  door.metrics.count(Op::erase, appended->outcome);
  co_return durable(door, "{}");
}

}  // namespace

void add_assessment_routes(Router& router, MlflowDoor& door) {
  using http::verb;
  const std::string all = "3.0/mlflow/traces/{trace_id}/assessments", one = all + "/{assessment_id}";
  const auto bytes_max = door.config.assessment_bytes_max;
  add_mlflow(router, verb::post, all, [&door](Request& r) { return create(door, r); },
             {.scope = Scope::feedback, .body_bytes_max = bytes_max});
  add_mlflow(router, verb::get, one, [&door](Request& r) { return get(door, r); },
             {.scope = Scope::read, .else_behind = true});
  add_mlflow(router, verb::patch, one, [&door](Request& r) { return update(door, r); },
             {.scope = Scope::feedback, .body_bytes_max = bytes_max, .else_behind = true});
  add_mlflow(router, verb::delete_, one, [&door](Request& r) { return erase(door, r); },
             {.scope = Scope::feedback, .else_behind = true});
}

}  // namespace assay
