#include "ingest/mlflow/experiment_routes.hpp"

#include <boost/json/serialize.hpp>
#include <set>

#include "ingest/mlflow/catalog_search.hpp"
#include "ingest/mlflow/tag_routes.hpp"
#include "ops/runtime/ids.hpp"
#include "ops/runtime/parse_number.hpp"
#include "storage/records/json_writer.hpp"
#include "storage/records/utf8.hpp"
#include "storage/store/catalog.hpp"
#include "storage/store/filter/catalog_filter.hpp"

namespace assay {
namespace {

namespace json = boost::json;

constexpr std::size_t name_characters_max = 500, tag_characters_max = 20'000, location_characters_max = 2048;

std::string experiment_json(const Experiment& e) {
  std::string out;
  JsonWriter writer(out);
  writer.begin_object().field("experiment_id", e.experiment_id).field("name", e.name);
  writer.field("artifact_location", e.artifact_location).field("lifecycle_stage", e.deleted ? "deleted" : "active");
  writer.field("last_update_time", e.last_update_time).field("creation_time", e.creation_time);
  if (!e.tags.empty()) {
    writer.key("tags").begin_array();
    for (const auto& [key, value] : e.tags) writer.begin_object().field("key", key).field("value", value).end_object();
    writer.end_array();
  }
  writer.field("workspace", "default").end_object();
  return out;
}

std::int64_t millis(Instant at) { return at.time_since_epoch().count(); }

std::optional<MlflowError> problem_with_tag(std::string_view key, std::string_view value) {
  if (auto problem = problem_with_tag_name(key)) return problem;
  if (utf8_characters(value) > tag_characters_max)
    return invalid_parameter("'value' exceeds the maximum length of 20000 characters");
  return {};
}

std::optional<MlflowError> problem_with_name(std::string_view name) {
  if (utf8_characters(name) > name_characters_max)
    return invalid_parameter("'name' exceeds the maximum length of 500 characters");
  if (name.find('\0') != name.npos) return invalid_parameter("Invalid experiment name: it has U+0000");
  return {};
}

// Kept and shown, and nothing is written there; refused is what MLflow's server would not connect to, all the same.
std::optional<MlflowError> problem_with_location(std::string_view location) {
  static const std::set<std::string, std::less<>> of_hosts = {"ftp",   "sftp", "hdfs", "viewfs", "http",
                                                              "https", "r2",   "b2",   "abfss"};
  const auto scheme = filter::lower(location.substr(0, location.find(':')));
  const auto rest = location.substr(scheme.size());
  if (location.find('#') < location.size() - 1)
    return invalid_parameter("'artifact_location' URL can't include fragments or params.");
  const bool of_host = scheme == "mlflow-artifacts" && rest.starts_with("://") && rest.size() > 3 && rest[3] != '/';
  if (!rest.empty() && (of_host || of_hosts.contains(scheme)))
    return invalid_parameter(
        "'artifact_location' cannot use the '" + scheme + "' scheme: the '" + scheme +
        "' scheme addresses a host other than the tracking server's configured artifact storage, so the server would "
        "connect to the host named in the URI. Set the MLFLOW_ALLOWED_HOST_ADDRESSED_ARTIFACT_SCHEMES environment "
        "variable on the server to allow it.");
  if (location.starts_with("runs:"))
    return invalid_parameter("Artifact location cannot be a runs:/ URI. Given: '" + std::string(location) + "'");
  if (utf8_characters(location) > location_characters_max)
    return invalid_parameter(
        "Invalid artifact path length. The length of the artifact path cannot be greater than 2048 characters. To "
        "configure this limit, please set the MLFLOW_ARTIFACT_LOCATION_MAX_LENGTH environment variable.");
  return {};
}

// By a body's or a query's experiment_id; an error of MLflow's, or one of reading.
struct Lookup {
  std::optional<Experiment> experiment;
  std::optional<Response> refused;
};
Lookup look_up(MlflowDoor& door, const Request& request, const std::string& id) {
  if (const auto problem = filter::problem_with_experiment_id(id))
    return {{}, error_response(invalid_parameter(problem->message))};
  auto found = Catalog(door.view->kv()).experiment(id);
  if (!found) return {{}, read_failed(request, found.error())};
  if (!*found) return {{}, error_response(no_experiment(id))};
  return {std::move(*found), {}};
}

// Written, and applied here, so that the next change sees it.
Task<std::optional<Response>> write(MlflowDoor& door, const Request& request, Experiment experiment) {
  std::vector<Record> records;
  records.push_back(to_record(experiment, door.clock.now()));
  auto refused = co_await write_all(door, request, std::move(records));
  if (refused) co_return refused;
  co_return co_await ready_to_read(door, request);
}

Result<std::map<std::string, std::string>, MlflowError> tags_in(const json::object& body) {
  std::map<std::string, std::string> out;
  const auto* list = body.if_contains("tags");
  if (!list) return out;
  if (!list->is_array()) return wrong_value("tags", *list, python_type(*list));
  for (const auto& tag : list->get_array()) {
    if (!tag.is_object()) return wrong_value("tags", *list, "list");
    const auto fields = fields_of(tag.get_object());
    auto key = text_in(fields, "key"), value = text_in(fields, "value");
    if (auto problem = problem_with_tag(key, value)) return std::move(*problem);
    out[std::move(key)] = std::move(value);
  }
  return out;
}

std::optional<MlflowError> problem_with_create(const json::object& body) {
  return problem_with_types(body, {{"artifact_location", FieldType::text}, {"tags", FieldType::list}});
}

Task<Response> create(MlflowDoor& door, Request& request) {
  const auto body = read_body(request);
  if (!body) co_return error_response(body.error());
  const auto name = required_text(*body, "name");
  if (!name) co_return error_response(name.error());
  if (const auto problem = problem_with_create(*body)) co_return error_response(*problem);
  const auto location = text_in(*body, "artifact_location");
  if (auto problem = problem_with_location(location)) co_return error_response(*problem);
  if (auto problem = problem_with_name(*name)) co_return error_response(*problem);
  auto tags = tags_in(*body);
  if (!tags) co_return error_response(tags.error());
  auto turn = co_await begin_change(door, request);
  if (turn.refused) co_return std::move(*turn.refused);
  const Catalog catalog(door.view->kv());
  const auto taken = catalog.experiment_named(*name);
  if (!taken) co_return read_failed(request, taken.error());
  if (*taken) {
    MlflowError exists{"RESOURCE_ALREADY_EXISTS",
                       "Experiment(name=" + *name + ") already exists. Error: its id is " + (*taken)->experiment_id};
    co_return error_response(exists);
  }
  std::string id;
  for (int attempt = 0;; ++attempt) {
    id = new_experiment_id(*name, attempt);
    const auto there = catalog.experiment(id);
    if (!there) co_return read_failed(request, there.error());
    if (!*there) break;
  }
  auto experiment = new_experiment(*name, id, door.clock.now());
  if (!location.empty()) experiment.artifact_location = location;
  experiment.tags = std::move(*tags);
  auto refused = co_await write(door, request, std::move(experiment));
  if (refused) co_return std::move(*refused);
  co_return durable(door, R"({"experiment_id":")" + id + "\"}");
}

Task<Response> get(MlflowDoor& door, Request& request) {
  const auto query = Query::parse(request.query);
  if (!query) co_return error_response(request.path, query.error());
  const std::string id(query->get("experiment_id").value_or(""));
  if (id.empty()) co_return error_response(missing("experiment_id"));
  auto refused = co_await ready_to_read(door, request);
  if (refused) co_return std::move(*refused);
  auto found = look_up(door, request, id);
  if (found.refused) co_return std::move(*found.refused);
  co_return answer(R"({"experiment":)" + experiment_json(*found.experiment) + "}");
}

Task<Response> get_by_name(MlflowDoor& door, Request& request) {
  const auto query = Query::parse(request.query);
  if (!query) co_return error_response(request.path, query.error());
  const std::string name(query->get("experiment_name").value_or(""));
  if (name.empty()) co_return error_response(missing("experiment_name"));
  auto refused = co_await ready_to_read(door, request);
  if (refused) co_return std::move(*refused);
  const auto found = Catalog(door.view->kv()).experiment_named(name);
  if (!found) co_return read_failed(request, found.error());
  if (!*found) co_return error_response(does_not_exist("Could not find experiment with name '" + name + "'"));
  co_return answer(R"({"experiment":)" + experiment_json(**found) + "}");
}

filter::CatalogEntry entry_of(const Experiment& e) {
  return {[&e](std::string_view name) -> filter::Value {
            if (name == "name") return e.name;
            if (name == "creation_time") return e.creation_time;
            if (name == "last_update_time") return e.last_update_time;
            return parse_number<std::int64_t>(e.experiment_id).value_or(0);
          },
          &e.tags};
}

// A search may be asked for in the query, too.
Result<json::object, Response> asked_for(const Request& request) {
  if (request.method != http::verb::get) {
    auto body = read_body(request);
    if (!body) return error_response(body.error());
    return std::move(*body);
  }
  const auto query = Query::parse_repeating(request.query, {"order_by"});
  if (!query) return error_response(request.path, query.error());
  json::object asked;
  for (const auto* name : {"filter", "max_results", "page_token", "view_type"})
    if (const auto given = query->get(name)) asked[name] = *given;
  json::array order;
  for (const auto& clause : query->all("order_by")) order.emplace_back(clause);
  asked["order_by"] = std::move(order);
  return asked;
}

std::optional<MlflowError> problem_with_search(const json::object& body) {
  return problem_with_types(body, {{"max_results", FieldType::whole},
                                   {"order_by", FieldType::list},
                                   {"filter", FieldType::text},
                                   {"page_token", FieldType::text}});
}

Task<Response> search(MlflowDoor& door, Request& request) {
  auto body = asked_for(request);
  if (!body) co_return std::move(body.error());
  if (const auto problem = problem_with_search(*body)) co_return error_response(*problem);
  const auto clauses = texts_in(*body, "order_by");
  if (!clauses) co_return error_response(clauses.error());
  constexpr std::int64_t none = 0;  // MLflow asks for a number
  const auto search = read_catalog_search(filter::CatalogKind::experiment, *body, *clauses, none);
  if (!search) co_return error_response(search.error());
  auto view_type = text_in(*body, "view_type");
  if (const auto number = integer_in(*body, "view_type"))
    view_type = *number == 2 ? "DELETED_ONLY" : *number == 3 ? "ALL" : "ACTIVE_ONLY";
  auto refused = co_await ready_to_read(door, request);
  if (refused) co_return std::move(*refused);
  auto all = Catalog(door.view->kv()).experiments();
  if (!all) co_return read_failed(request, all.error());
  if (view_type != "ALL")
    std::erase_if(*all, [&](const Experiment& e) { return e.deleted != (view_type == "DELETED_ONLY"); });
  const auto page = page_of(std::move(*all), *search, "experiments", &entry_of, &experiment_json);
  co_return page ? answer(*page) : error_response(page.error());
}

// Reads, changes, writes: `act` says why not. What is wrong with the body itself is said before it is known whether the
// experiment is there.
struct Change {
  std::optional<MlflowError> (*act)(const json::object& body, Experiment&, const Catalog&, Instant now);
  std::vector<std::string> needs = {};
  std::optional<MlflowError> (*problem)(const json::object& body) = nullptr;
};
Task<Response> change(MlflowDoor& door, Request& request, const Change& change) {
  const auto body = read_body(request);
  if (!body) co_return error_response(body.error());
  const auto id = required_text(*body, "experiment_id");
  if (!id) co_return error_response(id.error());
  for (const auto& name : change.needs)
    if (const auto text = required_text(*body, name); !text) co_return error_response(text.error());
  if (change.problem)
    if (const auto problem = change.problem(*body)) co_return error_response(*problem);
  auto turn = co_await begin_change(door, request);
  if (turn.refused) co_return std::move(*turn.refused);
  auto found = look_up(door, request, *id);
  if (found.refused) co_return std::move(*found.refused);
  const Catalog catalog(door.view->kv());
  if (const auto problem = change.act(*body, *found.experiment, catalog, door.clock.now()))
    co_return error_response(*problem);
  auto refused = co_await write(door, request, std::move(*found.experiment));
  if (refused) co_return std::move(*refused);
  co_return durable(door, "{}");
}

std::optional<MlflowError> rename(const json::object& body, Experiment& e, const Catalog& catalog, Instant now) {
  const auto name = text_in(body, "new_name");
  if (e.deleted) return MlflowError{"INVALID_STATE", "Cannot rename a non-active experiment."};
  const auto taken = catalog.experiment_named(name);
  if (taken && *taken && (*taken)->experiment_id != e.experiment_id)
    return MlflowError{"BAD_REQUEST", "Experiment(name=" + name + ") already exists."};
  e.name = name;
  e.last_update_time = millis(now);
  return {};
}

std::optional<MlflowError> erase(const json::object&, Experiment& e, const Catalog&, Instant now) {
  if (e.deleted) return no_experiment(e.experiment_id);
  e.deleted = true;
  e.last_update_time = millis(now);
  return {};
}

std::optional<MlflowError> restore(const json::object&, Experiment& e, const Catalog&, Instant now) {
  if (!e.deleted) return no_experiment(e.experiment_id);
  e.deleted = false;
  e.last_update_time = millis(now);
  return {};
}

std::optional<MlflowError> set_tag(const json::object& body, Experiment& e, const Catalog&, Instant) {
  if (auto problem = problem_with_stage(e)) return problem;
  e.tags[text_in(body, "key")] = text_in(body, "value");
  return {};
}

std::optional<MlflowError> delete_tag(const json::object& body, Experiment& e, const Catalog&, Instant) {
  const auto key = text_in(body, "key");
  if (auto problem = problem_with_stage(e)) return problem;
  if (e.tags.erase(key) == 0)
    return does_not_exist("No tag with name: " + key + " in experiment with id " + e.experiment_id);
  return {};
}

std::optional<MlflowError> problem_with_rename(const json::object& body) {
  return problem_with_name(text_in(body, "new_name"));
}

std::optional<MlflowError> problem_with_set_tag(const json::object& body) {
  if (auto problem = problem_with_types(body, {{"value", FieldType::text}})) return problem;
  return problem_with_tag(text_in(body, "key"), text_in(body, "value"));
}

}  // namespace

MlflowError no_experiment(std::string_view id) {
  return does_not_exist("No Experiment with id=" + std::string(id) + " exists");
}

std::optional<MlflowError> problem_with_stage(const Experiment& experiment) {
  if (!experiment.deleted) return {};
  return invalid_parameter("The experiment " + experiment.experiment_id +
                           " must be in the 'active' state. Current state is deleted.");
}

std::string new_experiment_id(std::string_view name, int attempt) {
  const auto hash = content_hash({"experiment", name, std::to_string(attempt)});
  return std::to_string(100'000'000 + hash % 2'000'000'000);  // fits into 31 bits, as MLflow's own
}

Experiment new_experiment(std::string_view name, std::string_view id, Instant at) {
  return {.experiment_id = std::string(id),
          .name = std::string(name),
          .artifact_location = "mlflow-artifacts:/" + std::string(id),
          .creation_time = millis(at),
          .last_update_time = millis(at)};
}

void add_experiment_routes(Router& router, MlflowDoor& door) {
  using http::verb;
  const std::string base = "2.0/mlflow/experiments/";
  add_mlflow(router, verb::post, base + "create", [&door](Request& r) { return create(door, r); },
             {.scope = Scope::admin});
  add_mlflow(router, verb::get, base + "get", [&door](Request& r) { return get(door, r); }, {.scope = Scope::read});
  add_mlflow(router, verb::get, base + "get-by-name", [&door](Request& r) { return get_by_name(door, r); },
             {.scope = Scope::read});
  for (const auto method : {verb::get, verb::post})
    add_mlflow(router, method, base + "search", [&door](Request& r) { return search(door, r); },
               {.scope = Scope::read});

  const auto add_change = [&](const std::string& path, Change what) {
    add_mlflow(router, verb::post, base + path,
               [&door, what = std::move(what)](Request& r) { return change(door, r, what); }, {.scope = Scope::admin});
  };
  add_change("update", {&rename, {"new_name"}, &problem_with_rename});
  add_change("delete", {&erase});
  add_change("restore", {&restore});
  add_change("set-experiment-tag", {&set_tag, {"key"}, &problem_with_set_tag});
  add_change("delete-experiment-tag", {&delete_tag, {"key"}});
}

}  // namespace assay
