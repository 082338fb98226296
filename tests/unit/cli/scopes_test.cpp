// Whom each door is for. A door that is not in this table fails the test: who adds one says here, too, what a key
// needs.
#include <gtest/gtest.h>

#include "ops/cli/front_door_options.hpp"
#include "storage/log/memory_log.hpp"
#include "storage/state/memory_key_value.hpp"

namespace assay {
namespace {

using Verb = http::verb;

const std::map<std::pair<std::string, std::string>, Scope> expected = {
    {{"GET", "/livez"}, Scope::open},
    {{"GET", "/readyz"}, Scope::open},
    {{"GET", "/metrics"}, Scope::read},
    {{"POST", "/feedback"}, Scope::feedback},
    {{"POST", "/detailed-feedback"}, Scope::feedback},
    {{"POST", "/feedback/batch"}, Scope::feedback},
    {{"PATCH", "/feedback/{assessment_id}"}, Scope::feedback},
    {{"DELETE", "/feedback/{assessment_id}"}, Scope::feedback},
    {{"GET", "/feedback/{assessment_id}"}, Scope::read},
    {{"POST", "/chat"}, Scope::chat},
    {{"POST", "/chat/stream"}, Scope::chat},
    {{"GET", "/chat/stream/{trace_id}"}, Scope::chat},
    {{"DELETE", "/chat/stream/{trace_id}"}, Scope::chat},
    {{"GET", "/chat/ws"}, Scope::chat},
    {{"POST", "/v1/chat/completions"}, Scope::chat},
    {{"GET", "/v1/models"}, Scope::chat},
    {{"GET", "/v1/models/{model}"}, Scope::chat},
    {{"POST", "/api/3.0/mlflow/traces"}, Scope::trace},
    {{"GET", "/api/3.0/mlflow/traces/{trace_id}"}, Scope::read},
    {{"POST", "/api/3.0/mlflow/traces/{trace_id}/assessments"}, Scope::feedback},
};

TEST(Scopes, EveryDoorHasTheOneThatTheTableSays) {
  MemoryLog log;
  MemoryKeyValue disk;
  Metrics metrics;
  const SystemClock clock;
  cli::DoorWithRoutes door({}, log, nullptr, false, disk, metrics, clock);
  std::set<std::pair<std::string, std::string>> seen;
  for (const auto& route : door.front().router().routes()) {
    const std::pair<std::string, std::string> key{http::to_string(route->method), route->pattern};
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

}  // namespace
}  // namespace assay
