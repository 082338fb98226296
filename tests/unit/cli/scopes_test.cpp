// Whom each door is for. A door that is not in this table fails the test: who adds one says here, too, what a key
// needs.
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "ingest/openapi/openapi_route.hpp"
#include "ops/cli/door_with_routes.hpp"
#include "storage/log/memory_log.hpp"
#include "storage/state/memory_key_value.hpp"

namespace assay {
namespace {

using Verb = http::verb;

const std::map<std::pair<std::string, std::string>, Scope> own_doors = {
    {{"GET", "/livez"}, Scope::open},
    {{"GET", "/readyz"}, Scope::open},
    {{"GET", "/openapi.json"}, Scope::open},
    {{"GET", "/metrics"}, Scope::read},
    {{"POST", "/feedback"}, Scope::feedback},
    {{"POST", "/detailed-feedback"}, Scope::feedback},
    {{"POST", "/feedback/batch"}, Scope::feedback},
    {{"PATCH", "/feedback/{assessment_id}"}, Scope::feedback},
    {{"DELETE", "/feedback/{assessment_id}"}, Scope::feedback},
    {{"GET", "/feedback/{assessment_id}"}, Scope::read},
    {{"POST", "/capabilities"}, Scope::feedback},
    {{"POST", "/chat"}, Scope::chat},
    {{"POST", "/chat/stream"}, Scope::chat},
    {{"GET", "/chat/stream/{trace_id}"}, Scope::chat},
    {{"DELETE", "/chat/stream/{trace_id}"}, Scope::chat},
    {{"GET", "/chat/ws"}, Scope::chat},
    {{"POST", "/v1/chat/completions"}, Scope::chat},
    {{"GET", "/v1/models"}, Scope::chat},
    {{"GET", "/v1/models/{model}"}, Scope::chat},
    {{"GET", "/v1/models/{owner}/{model}"}, Scope::chat},
    {{"POST", "/v1/traces"}, Scope::trace},
    {{"GET", "/version"}, Scope::open},
    {{"GET", "/health"}, Scope::open},
    {{"GET", "/assay/quality"}, Scope::read},
};

// Each stands under /api and under /ajax-api, as in MLflow.
const std::tuple<std::string, std::string, Scope> mlflow_doors[] = {
    {"POST", "3.0/mlflow/traces", Scope::trace},
    {"GET", "3.0/mlflow/traces/{trace_id}", Scope::read},
    {"GET", "3.0/mlflow/traces/get", Scope::read},
    {"GET", "3.0/mlflow/traces/batchGet", Scope::read},
    {"POST", "3.0/mlflow/traces/batchGetInfos", Scope::read},
    {"POST", "3.0/mlflow/traces/search", Scope::read},
    {"POST", "2.0/mlflow/traces/delete-traces", Scope::admin},
    {"POST", "3.0/mlflow/traces/delete-traces", Scope::admin},
    {"POST", "2.0/mlflow/traces", Scope::trace},
    {"GET", "2.0/mlflow/traces", Scope::read},
    {"PATCH", "2.0/mlflow/traces/{trace_id}", Scope::trace},
    {"GET", "2.0/mlflow/traces/{trace_id}/info", Scope::read},
    {"PATCH", "2.0/mlflow/traces/{trace_id}/tags", Scope::trace},
    {"DELETE", "2.0/mlflow/traces/{trace_id}/tags", Scope::trace},
    {"PATCH", "3.0/mlflow/traces/{trace_id}/tags", Scope::trace},
    {"DELETE", "3.0/mlflow/traces/{trace_id}/tags", Scope::trace},
    {"POST", "3.0/mlflow/traces/{trace_id}/assessments", Scope::feedback},
    {"GET", "3.0/mlflow/traces/{trace_id}/assessments/{assessment_id}", Scope::read},
    {"PATCH", "3.0/mlflow/traces/{trace_id}/assessments/{assessment_id}", Scope::feedback},
    {"DELETE", "3.0/mlflow/traces/{trace_id}/assessments/{assessment_id}", Scope::feedback},
    {"PUT", "2.0/mlflow-artifacts/artifacts/{experiment}/traces/{trace_id}/artifacts/traces.json", Scope::trace},
    {"GET", "2.0/mlflow-artifacts/artifacts/{experiment}/traces/{trace_id}/artifacts/traces.json", Scope::read},
    {"POST", "2.0/mlflow/experiments/create", Scope::admin},
    {"GET", "2.0/mlflow/experiments/get", Scope::read},
    {"GET", "2.0/mlflow/experiments/get-by-name", Scope::read},
    {"GET", "2.0/mlflow/experiments/search", Scope::read},
    {"POST", "2.0/mlflow/experiments/search", Scope::read},
    {"POST", "2.0/mlflow/experiments/update", Scope::admin},
    {"POST", "2.0/mlflow/experiments/delete", Scope::admin},
    {"POST", "2.0/mlflow/experiments/restore", Scope::admin},
    {"POST", "2.0/mlflow/experiments/set-experiment-tag", Scope::admin},
    {"POST", "2.0/mlflow/experiments/delete-experiment-tag", Scope::admin},
    {"POST", "3.0/mlflow/datasets/create", Scope::admin},
    {"POST", "3.0/mlflow/datasets/search", Scope::read},
    {"GET", "3.0/mlflow/datasets/{dataset_id}", Scope::read},
    {"DELETE", "3.0/mlflow/datasets/{dataset_id}", Scope::admin},
    {"PATCH", "3.0/mlflow/datasets/{dataset_id}/tags", Scope::admin},
    {"DELETE", "3.0/mlflow/datasets/{dataset_id}/tags/{key}", Scope::admin},
    {"GET", "3.0/mlflow/datasets/{dataset_id}/experiment-ids", Scope::read},
    {"POST", "3.0/mlflow/datasets/{dataset_id}/add-experiments", Scope::admin},
    {"POST", "3.0/mlflow/datasets/{dataset_id}/remove-experiments", Scope::admin},
    {"POST", "3.0/mlflow/datasets/{dataset_id}/records", Scope::admin},
    {"GET", "3.0/mlflow/datasets/{dataset_id}/records", Scope::read},
    {"DELETE", "3.0/mlflow/datasets/{dataset_id}/records", Scope::admin},
    {"GET", "3.0/mlflow/server-info", Scope::open},
};

std::map<std::pair<std::string, std::string>, Scope> all_expected() {
  auto all = own_doors;
  for (const auto& [method, path, scope] : mlflow_doors)
    for (const std::string prefix : {"/api/", "/ajax-api/"}) all.insert({{method, prefix + path}, scope});
  return all;
}

// The page's files are everybody's; their names are the bundler's.
bool is_page(std::string_view pattern) {
  return pattern == "/" || pattern == "/assay" || (pattern.starts_with("/assay/") && pattern != "/assay/quality");
}

using Doors = std::set<std::pair<std::string, std::string>>;

TEST(Scopes, EveryDoorHasTheOneThatTheTableSays) {
  MemoryLog log;
  MemoryKeyValue disk;
  Metrics metrics;
  const SystemClock clock;
  const cli::FrontDoorOptions options;
  cli::DoorWithRoutes door(options, log, nullptr, disk, metrics, clock);
  const auto expected = all_expected();
  Doors seen;
  for (const auto& route : door.front().router().routes()) {
    const std::pair<std::string, std::string> key{http::to_string(route->method), route->pattern};
    if (is_page(route->pattern)) {
      EXPECT_EQ(name_of(route->options.scope), "open") << route->pattern;
      continue;
    }
    seen.insert(key);
    const auto entry = expected.find(key);
    if (entry == expected.end()) {
      ADD_FAILURE() << "no entry for " << key.first << " " << key.second;
      continue;
    }
    EXPECT_EQ(name_of(route->options.scope), name_of(entry->second)) << key.first << " " << key.second;
  }
  for (const auto& [key, scope] : expected)
    EXPECT_TRUE(seen.contains(key)) << "no such door: " << key.first << " " << key.second;
}

Doors operations(const boost::json::object& document) {
  Doors found;
  for (const auto& [path, item] : document.at("paths").as_object())
    for (const auto& [method, operation] : item.as_object())
      if (operation.is_object()) {
        std::string upper(method);
        for (auto& c : upper) c = static_cast<char>(std::toupper(c));
        found.insert({upper, std::string(path)});
      }
  return found;
}

// Every $ref leads somewhere.
void check_references(const boost::json::value& value, const boost::json::value& root) {
  if (const auto* object = value.if_object()) {
    for (const auto& [key, part] : *object) {
      if (key == "$ref") {
        boost::system::error_code ec;
        EXPECT_TRUE(root.find_pointer(std::string_view(part.as_string()).substr(1), ec)) << part;
      }
      check_references(part, root);
    }
  } else if (const auto* array = value.if_array()) {
    for (const auto& part : *array) check_references(part, root);
  }
}

TEST(OpenApi, DescribesEveryDoorAndNoOther) {
  MemoryLog log;
  MemoryKeyValue disk;
  Metrics metrics;
  const SystemClock clock;
  const cli::FrontDoorOptions options;
  cli::DoorWithRoutes door(options, log, nullptr, disk, metrics, clock);
  const auto& router = door.front().router();
  Doors doors;
  for (const auto& route : router.routes()) doors.insert({std::string(http::to_string(route->method)), route->pattern});
  // The page's files are no interface: their names change with each build.
  std::erase_if(doors, [](const auto& door) {
    return door.second.starts_with("/assay") && door.second != "/assay/" && door.second != "/assay/quality";
  });
  const auto document = openapi_document(router, {});
  EXPECT_EQ(operations(document), doors);
  std::erase_if(doors, [](const auto& door) { return door.second.starts_with("/ajax-api/"); });  // as /api
  EXPECT_EQ(operations(openapi_fragments()), doors) << "something is described that no door is";
  check_references(document, document);
}

}  // namespace
}  // namespace assay
