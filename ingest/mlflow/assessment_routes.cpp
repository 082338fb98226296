#include "ingest/mlflow/assessment_routes.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "ingest/feedback/assessment_body.hpp"
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

// What an override is about must be there; it may be parked with its trace.
Task<std::optional<Response>> problem_with_override(MlflowDoor& door, const Request& request, const std::string& id,
                                                    const std::string& trace_id) {
  if (id.empty() || !door.view) co_return std::nullopt;
  auto refused = co_await ready_to_read(door, request);
  if (refused) co_return refused;
  const auto receipt = door.view->receipt(id);
  if (!receipt) co_return read_failed(request, receipt.error());
  if (*receipt && (*receipt)->trace_id == trace_id) co_return std::nullopt;
  co_return error_response(no_assessment(id, trace_id));
}

// A trace that was deleted takes no more; one that nobody knows yet may still come, where the door is told to wait.
Task<std::optional<Response>> problem_with_trace(MlflowDoor& door, const std::string& trace_id) {
  if (!door.view) co_return std::nullopt;
  const auto deleted = door.view->deleted(trace_id);
  if (deleted && *deleted) co_return error_response(no_trace(trace_id));
  if (!door.config.reject_unknown_trace) co_return std::nullopt;
  const auto known = [&] {
    const auto trace = door.view->trace_of(trace_id);
    return !trace || *trace || door.recent.find(trace_id);
  };
  if (known()) co_return std::nullopt;
  const auto applied = co_await door.view->applied(door.config.view_wait);
  if (!applied || known()) co_return std::nullopt;  // not sure, so not refused
  co_return error_response(no_trace(trace_id));
}

Task<Response> create(MlflowDoor& door, Request& request) {
  const std::string trace_id(request.params[0]);
  if (const auto problem = problem_with_id("trace_id", trace_id)) co_return error_response(request.path, *problem);
  if (const auto problem = problem_with_content_type(request)) co_return error_response(*problem);
  auto sent = parse_assessment_request(request.body, trace_id, door.clock.now());
  if (!sent) co_return error_response(request.path, sent.error());
  std::optional<Response> refused;
  if (auto pending = pending::request_of(trace_id); pending && !door.config.reject_unknown_trace)
    sent->record.target = {Target::Kind::client_request_id, std::move(*pending)};
  else
    refused = co_await problem_with_trace(door, trace_id);
  if (refused) co_return std::move(*refused);
  if (!sent->overrides.empty()) {
    refused = co_await problem_with_override(door, request, sent->overrides, trace_id);
    if (refused) co_return std::move(*refused);
  }
  auto record = to_record(sent->record);
  const auto appended = co_await door.log.append(std::move(record));
  if (!appended) co_return error_response(request.path, appended.error());
  if (appended->outcome == Appended::Outcome::conflict) {
    MlflowError conflict{"RESOURCE_CONFLICT", "this assessment_id was used for something else"};
    co_return error_response(conflict);
  }
  sent->json["trace_id"] = trace_id;
  co_return durable(door, R"({"assessment":)" + json::serialize(sent->json) + "}");
}

// The assessment where it is one of this trace; otherwise what is missing.
struct Found {
  std::optional<Store::Assessment> assessment;
  bool parked = false;
};
Result<Found> find(MlflowDoor& door, const std::string& trace_id, const std::string& id) {
  const Store store(door.view->kv());
  const auto located = store.locate(id);
  if (!located) return located.error();
  Found found;
  if (*located && (*located)->kind == Store::Located::Kind::row && (*located)->trace_id == trace_id) {
    auto assessment = store.find(id);
    if (!assessment) return assessment.error();
    found.assessment = std::move(*assessment);
  } else if (!*located) {
    const auto receipt = door.view->receipt(id);
    if (!receipt) return receipt.error();
    found.parked = *receipt && (*receipt)->state == Receipt::State::parked && (*receipt)->trace_id == trace_id;
  }
  return found;
}

Response not_found(MlflowDoor& door, const std::string& trace_id, const std::string& id) {
  const auto trace = Store(door.view->kv()).trace(trace_id);
  if (trace && !*trace) return error_response(does_not_exist("Trace with request_id '" + trace_id + "' not found"));
  return error_response(no_assessment(id, trace_id));
}

Task<Response> get(MlflowDoor& door, Request& request) {
  const std::string trace_id(request.params[0]), id(request.params[1]);
  auto refused = co_await ready_to_read(door, request);
  if (refused) co_return std::move(*refused);
  const auto found = find(door, trace_id, id);
  if (!found) co_return read_failed(request, found.error());
  if (!found->assessment) co_return not_found(door, trace_id, id);
  co_return answer(R"({"assessment":)" + found->assessment->row.json(found->assessment->valid) + "}");
}

// The fields that an update's mask names, as members of a change.
Result<json::object, MlflowError> read_changes(const Request& request) {
  const auto body = read_body(request);
  if (!body) return body.error();
  const auto* assessment = body->if_contains("assessment");
  if (!assessment || !assessment->is_object()) return missing("assessment");
  auto mask = text_in(*body, "update_mask");
  if (mask.empty()) return missing("update_mask");
  const auto from = fields_of(assessment->get_object());
  json::object changes;
  for (std::string_view rest = mask; !rest.empty();) {
    const auto path = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), path.size() + 1));
    const auto name = path == "assessmentName" ? std::string_view("assessment_name") : path;
    if (name != "assessment_name" && name != "feedback" && name != "expectation" && name != "rationale" &&
        name != "metadata")
      continue;
    const auto* value = from.if_contains(name);
    if (!value) {
      // A field that the mask names and the message lacks has its default.
      if (name == "assessment_name" || name == "rationale") changes[name] = "";
      continue;
    }
    if (name == "feedback" || name == "expectation") {
      if (!value->is_object()) return wrong_value(name, *value, "str");
      changes[name] = fields_of(value->get_object());
      if (!changes[name].get_object().contains("value") && !changes[name].get_object().contains("serialized_value"))
        changes[name].get_object()["value"] = nullptr;
    } else if (name == "metadata") {
      if (!value->is_object()) return wrong_value(name, *value, "str");
      for (const auto& [key, entry] : value->get_object())
        if (!entry.is_string()) return wrong_value(name, *value, "dict");
      changes[name] = *value;
    } else {
      if (!value->is_string()) return wrong_value(name, *value, "int");
      const auto bytes_max = name == "rationale" ? rationale_bytes_max : BodyLimits::name_bytes;
      if (value->get_string().size() > bytes_max)
        return invalid_parameter(std::string(name) + ": it is longer than " + std::to_string(bytes_max) + " bytes");
      changes[name] = *value;
    }
  }
  return changes;
}

std::optional<MlflowError> problem_with_kind(const json::object& changes, const Store::Assessment& existing) {
  const bool feedback = changes.contains("feedback"), expectation = changes.contains("expectation");
  if (feedback && expectation) return invalid_parameter("Cannot specify both `expectation` and `feedback` parameters.");
  const bool is_expectation = existing.row.json(true).find("\"expectation\":") != std::string::npos &&
                              existing.row.json(true).find("\"feedback\":") == std::string::npos;
  if (expectation && !is_expectation)
    return invalid_parameter("Cannot update expectation value on a Feedback assessment.");
  if (feedback && is_expectation)
    return invalid_parameter("Cannot update feedback value on an Expectation assessment.");
  return {};
}

// When a change must have been accepted so that it comes after what is there.
Instant after(const AssessmentRow& row, Instant now) {
  std::int64_t last = row.base() ? row.base()->stamp.accepted_at : 0;
  for (const auto& [path, change] : row.changes()) last = std::max(last, change.stamp.accepted_at);
  return std::max(now, Instant(std::chrono::milliseconds(last + 1)));
}

FeedbackRecord new_change(Op op, const std::string& trace_id, const std::string& id, const json::object& changes,
                          Instant at) {
  FeedbackRecord record{.op = op, .target = {Target::Kind::trace_id, trace_id}, .accepted_at = at};
  json::object item{{"assessment_id", id}};
  if (op == Op::update) item["last_update_time"] = format_time(at);
  for (const auto& [name, value] : changes) item[name] = value;
  record.items.push_back({random_id(change_prefix), id, json::serialize(item)});
  return record;
}

Task<Response> update(MlflowDoor& door, Request& request) {
  const std::string trace_id(request.params[0]), id(request.params[1]);
  auto changes = read_changes(request);
  if (!changes) co_return error_response(changes.error());
  auto at = door.clock.now();
  if (door.view) {
    auto refused = co_await ready_to_read(door, request);
    if (refused) co_return std::move(*refused);
    const auto found = find(door, trace_id, id);
    if (!found) co_return read_failed(request, found.error());
    if (!found->assessment && !found->parked) co_return not_found(door, trace_id, id);
    if (found->assessment) {
      if (auto problem = problem_with_kind(*changes, *found->assessment)) co_return error_response(*problem);
      at = after(found->assessment->row, at);
      // MLflow keeps no rationale of an expectation.
      if (found->assessment->row.json(true).find("\"expectation\":") != std::string::npos &&
          found->assessment->row.json(true).find("\"feedback\":") == std::string::npos)
        changes->erase("rationale");
    }
  }
  const auto change = new_change(Op::update, trace_id, id, *changes, at);
  auto record = to_record(change);
  const auto appended = co_await door.log.append(std::move(record));
  if (!appended) co_return error_response(request.path, appended.error());
  if (door.view) {
    auto refused = co_await ready_to_read(door, request);
    if (refused) co_return std::move(*refused);
    const auto found = find(door, trace_id, id);
    if (found && found->assessment)
      co_return durable(door, R"({"assessment":)" + found->assessment->row.json(found->assessment->valid) + "}");
  }
  // It waits for its trace, or this door can't read: what was said is what there is.
  (*changes)["assessment_id"] = id;
  (*changes)["trace_id"] = trace_id;
  co_return durable(door, R"({"assessment":)" + json::serialize(*changes) + "}");
}

Task<Response> erase(MlflowDoor& door, Request& request) {
  const std::string trace_id(request.params[0]), id(request.params[1]);
  if (door.view) {
    auto refused = co_await ready_to_read(door, request);
    if (refused) co_return std::move(*refused);
    const auto found = find(door, trace_id, id);
    if (!found) co_return read_failed(request, found.error());
    if (!found->assessment && !found->parked) co_return answer("{}");
  }
  const auto change = new_change(Op::erase, trace_id, id, {}, door.clock.now());
  auto record = to_record(change);
  const auto appended = co_await door.log.append(std::move(record));
  if (!appended) co_return error_response(request.path, appended.error());
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
