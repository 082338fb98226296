#include "ingest/mlflow/dataset_routes.hpp"

#include <algorithm>
#include <set>

#include "ingest/mlflow/catalog_search.hpp"
#include "ingest/mlflow/dataset_json.hpp"
#include "ops/runtime/ids.hpp"
#include "storage/records/exact_json.hpp"
#include "storage/records/python_text.hpp"
#include "storage/store/catalog.hpp"
#include "storage/store/filter/catalog_filter.hpp"

namespace assay {
namespace {

namespace json = boost::json;

std::int64_t millis(const MlflowDoor& door) { return door.clock.now().time_since_epoch().count(); }

// Tags are JSON in a string: an object of strings, by MLflow's idea of one.
Result<std::map<std::string, std::string>, MlflowError> tags_in(const json::object& body) {
  std::map<std::string, std::string> out;
  if (auto problem = problem_with_types(body, {{"tags", FieldType::text}})) return std::move(*problem);
  const auto text = text_in(body, "tags");
  if (text.empty()) return out;
  boost::system::error_code ec;
  const auto parsed = parse_json(text, ec);
  if (ec || !parsed.is_object()) return invalid_parameter("tags: it is not an object as JSON");
  for (const auto& [key, value] : parsed.get_object()) {
    if (!value.is_null()) out[std::string(key.data(), key.size())] = python_str(value);
  }
  return out;
}

std::string user_in(const std::map<std::string, std::string>& tags) {
  const auto at = tags.find("mlflow.user");
  return at == tags.end() ? std::string() : at->second;
}

Task<std::optional<Response>> write(MlflowDoor& door, const Request& request, std::vector<Record> records) {
  auto refused = co_await write_all(door, request, std::move(records));
  if (refused) co_return refused;
  co_return co_await ready_to_read(door, request);
}

Task<Response> create(MlflowDoor& door, Request& request) {
  const auto body = read_body(request);
  if (!body) co_return error_response(body.error());
  const auto name = required_text(*body, "name");
  if (!name) co_return error_response(name.error());
  if (name->size() > 255) co_return error_response(invalid_parameter("name: it is longer than 255 bytes"));
  auto tags = tags_in(*body);
  if (!tags) co_return error_response(tags.error());
  auto experiments = texts_in(*body, "experiment_ids");
  if (!experiments) co_return error_response(experiments.error());
  const auto now = millis(door);
  Dataset dataset{.dataset_id = random_id("d-"), .name = *name, .digest = dataset_digest(*name, now)};
  dataset.created_by = dataset.last_updated_by = user_in(*tags);
  dataset.created_time = dataset.last_update_time = now;
  dataset.tags = std::move(*tags);
  dataset.experiment_ids = std::move(*experiments);
  std::vector<Record> records;
  records.push_back(to_record(dataset, door.clock.now()));
  auto refused = co_await write_all(door, request, std::move(records));
  if (refused) co_return std::move(*refused);
  co_return durable(door, R"({"dataset":)" + dataset_json(dataset, true) + "}");
}

Task<Response> get(MlflowDoor& door, Request& request) {
  auto refused = co_await ready_to_read(door, request);
  if (refused) co_return std::move(*refused);
  const std::string id(request.params[0]);
  const auto found = Catalog(door.view->kv()).dataset(id);
  if (!found) co_return read_failed(request, found.error());
  if (!*found) co_return error_response(does_not_exist("Evaluation dataset with id '" + id + "' not found"));
  co_return answer(R"({"dataset":)" + dataset_json(**found, false) + "}");
}

Task<Response> erase(MlflowDoor& door, Request& request) {
  const auto turn = co_await door.catalog.enter(door.config.view_wait);
  if (!turn) co_return error_response(request.path, make_error_code(Error::timed_out));
  std::vector<Record> records;
  records.push_back(end_of_dataset(request.params[0], door.clock.now()));
  auto refused = co_await write_all(door, request, std::move(records));
  if (refused) co_return std::move(*refused);
  co_return durable(door, "{}");
}

filter::CatalogEntry entry_of(const Dataset& d) {
  const auto text = [](const std::string& value) { return value.empty() ? filter::Value() : filter::Value(value); };
  return {[&d, text](std::string_view name) -> filter::Value {
            if (name == "name") return d.name;
            if (name == "created_time") return d.created_time;
            if (name == "last_update_time") return d.last_update_time;
            if (name == "created_by") return text(d.created_by);
            if (name == "last_updated_by") return text(d.last_updated_by);
            return d.dataset_id;
          },
          &d.tags};
}

std::optional<MlflowError> problem_with_search(const json::object& body) {
  return problem_with_types(
      body, {{"filter_string", FieldType::text}, {"max_results", FieldType::whole}, {"page_token", FieldType::text}});
}

std::string listed(const Dataset& dataset) { return dataset_json(dataset, false); }

Task<Response> search(MlflowDoor& door, Request& request) {
  const auto body = read_body(request);
  if (!body) co_return error_response(body.error());
  if (const auto problem = problem_with_search(*body)) co_return error_response(*problem);
  const auto clauses = texts_in(*body, "order_by"), experiments = texts_in(*body, "experiment_ids");
  if (!clauses) co_return error_response(clauses.error());
  if (!experiments) co_return error_response(experiments.error());
  const auto search = read_catalog_search(filter::CatalogKind::dataset, *body, *clauses, 1000);
  if (!search) co_return error_response(search.error());
  auto refused = co_await ready_to_read(door, request);
  if (refused) co_return std::move(*refused);
  auto all = Catalog(door.view->kv()).datasets();
  if (!all) co_return read_failed(request, all.error());
  const std::set<std::string> wanted(experiments->begin(), experiments->end());
  const auto is_wanted = [&](const std::string& id) { return wanted.contains(id); };
  if (!wanted.empty())
    std::erase_if(*all, [&](const Dataset& d) { return std::ranges::none_of(d.experiment_ids, is_wanted); });
  const auto page = page_of(std::move(*all), *search, "datasets", &entry_of, &listed);
  co_return page ? answer(*page) : error_response(page.error());
}

// Reads, changes, writes: `act` says why not.
struct Change {
  std::function<std::optional<MlflowError>(const json::object& body, Dataset&)> act;
  std::optional<MlflowError> unknown = {};  // of a dataset that is not there; none: that is no error
  bool shows_dataset = false;               // in the answer
};
Task<Response> change(MlflowDoor& door, Request& request, const Change& change) {
  const auto body = read_body(request);
  if (!body) co_return error_response(body.error());
  auto turn = co_await begin_change(door, request);
  if (turn.refused) co_return std::move(*turn.refused);
  auto found = Catalog(door.view->kv()).dataset(request.params[0]);
  if (!found) co_return read_failed(request, found.error());
  if (!*found) co_return change.unknown ? error_response(*change.unknown) : answer("{}");
  auto& dataset = **found;
  if (const auto problem = change.act(*body, dataset)) co_return error_response(*problem);
  std::vector<Record> records;
  records.push_back(to_record(dataset, door.clock.now()));
  auto refused = co_await write(door, request, std::move(records));
  if (refused) co_return std::move(*refused);
  co_return durable(door,
                    change.shows_dataset ? R"({"dataset":)" + dataset_json(dataset, false) + "}" : std::string("{}"));
}

Task<Response> set_tags(MlflowDoor& door, Request& request) {
  const auto merge = [](const json::object& body, Dataset& dataset) -> std::optional<MlflowError> {
    if (const auto text = required_text(body, "tags"); !text) return text.error();
    auto tags = tags_in(body);
    if (!tags) return tags.error();
    for (auto& [key, value] : *tags) dataset.tags[key] = std::move(value);
    return {};
  };
  const Change what{merge,
                    does_not_exist("Could not find evaluation dataset with ID " + std::string(request.params[0]))};
  co_return co_await change(door, request, what);
}

Task<Response> delete_tag(MlflowDoor& door, Request& request) {
  const auto erase = [key = std::string(request.params[1])](const json::object&, Dataset& dataset) {
    dataset.tags.erase(key);
    return std::optional<MlflowError>();
  };
  const Change what{erase};
  co_return co_await change(door, request, what);
}

Task<Response> experiment_ids(MlflowDoor& door, Request& request) {
  auto refused = co_await ready_to_read(door, request);
  if (refused) co_return std::move(*refused);
  const auto found = Catalog(door.view->kv()).dataset(request.params[0]);
  if (!found) co_return read_failed(request, found.error());
  json::array ids;
  if (*found)
    for (const auto& id : (*found)->experiment_ids) ids.emplace_back(id);
  if (ids.empty()) co_return answer("{}");
  co_return answer(R"({"experiment_ids":)" + python_json(ids) + "}");
}

MlflowError no_dataset(const Request& request) {
  return does_not_exist("Dataset '" + std::string(request.params[0]) + "' not found");
}

Task<Response> add_experiments(MlflowDoor& door, Request& request) {
  const auto add = [&door](const json::object& body, Dataset& dataset) -> std::optional<MlflowError> {
    const auto ids = texts_in(body, "experiment_ids");
    if (!ids) return ids.error();
    std::set<std::string> known(dataset.experiment_ids.begin(), dataset.experiment_ids.end());
    const Catalog catalog(door.view->kv());
    for (const auto& id : *ids) {
      const auto experiment = catalog.experiment(id);
      if (!experiment || !*experiment) return does_not_exist("No Experiment with id=" + id);
      if (known.insert(id).second) dataset.experiment_ids.push_back(id);
    }
    dataset.last_update_time = millis(door);
    return {};
  };
  const Change what{add, no_dataset(request), true};
  co_return co_await change(door, request, what);
}

Task<Response> remove_experiments(MlflowDoor& door, Request& request) {
  const auto remove = [&door](const json::object& body, Dataset& dataset) -> std::optional<MlflowError> {
    const auto ids = texts_in(body, "experiment_ids");
    if (!ids) return ids.error();
    const std::set<std::string> gone(ids->begin(), ids->end());
    const auto removed =
        std::erase_if(dataset.experiment_ids, [&](const std::string& id) { return gone.contains(id); });
    if (removed > 0) dataset.last_update_time = millis(door);
    return {};
  };
  const Change what{remove, no_dataset(request), true};
  co_return co_await change(door, request, what);
}

}  // namespace

void add_dataset_routes(Router& router, MlflowDoor& door) {
  using http::verb;
  const std::string base = "3.0/mlflow/datasets/", one = base + "{dataset_id}";
  add_mlflow(router, verb::post, base + "create", [&door](Request& r) { return create(door, r); },
             {.scope = Scope::admin});
  add_mlflow(router, verb::post, base + "search", [&door](Request& r) { return search(door, r); },
             {.scope = Scope::read});
  add_mlflow(router, verb::get, one, [&door](Request& r) { return get(door, r); }, {.scope = Scope::read});
  add_mlflow(router, verb::delete_, one, [&door](Request& r) { return erase(door, r); }, {.scope = Scope::admin});
  add_mlflow(router, verb::patch, one + "/tags", [&door](Request& r) { return set_tags(door, r); },
             {.scope = Scope::admin});
  add_mlflow(router, verb::delete_, one + "/tags/{key}", [&door](Request& r) { return delete_tag(door, r); },
             {.scope = Scope::admin});
  add_mlflow(router, verb::get, one + "/experiment-ids", [&door](Request& r) { return experiment_ids(door, r); },
             {.scope = Scope::read});
  add_mlflow(router, verb::post, one + "/add-experiments", [&door](Request& r) { return add_experiments(door, r); },
             {.scope = Scope::admin});
  add_mlflow(router, verb::post, one + "/remove-experiments",
             [&door](Request& r) { return remove_experiments(door, r); }, {.scope = Scope::admin});
  add_dataset_record_routes(router, door);
}

}  // namespace assay
