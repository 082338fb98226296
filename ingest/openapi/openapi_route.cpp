#include "ingest/openapi/openapi_route.hpp"

#include <boost/beast/core/string.hpp>
#include <boost/json.hpp>
#include <mutex>

namespace assay {

extern const std::string_view openapi_texts[];
extern const std::size_t openapi_texts_count;

namespace {

namespace json = boost::json;

void merge(const json::object& from, json::object& into) {
  for (const auto& [key, value] : from) {
    auto* there = into.if_contains(key);
    if (there && there->is_object() && value.is_object())
      merge(value.get_object(), there->get_object());
    else
      into[key] = value;
  }
}

json::object reference(std::string_view name) { return {{"$ref", "#/components/responses/" + std::string(name)}}; }

std::string_view dialect_of(std::string_view path) {
  if (path.starts_with("/api/") || path.starts_with("/ajax-api/")) return "MlflowError";
  if (path.starts_with("/v1/chat") || path.starts_with("/v1/models")) return "OpenAiError";
  return "Problem";
}

// What any door may answer, beside what is written down for it.
void add_common_responses(json::object& operation, const Route& route) {
  auto& responses = operation["responses"].as_object();
  const std::string dialect(dialect_of(route.pattern));
  const auto may_be = [&](std::initializer_list<std::string_view> statuses) {
    for (const auto status : statuses) {
      const bool later = status == "429" || status == "503";  // with headers that say when
      const std::string_view more = later ? "Later" : status == "401" ? "Unauthorized" : "";
      if (!responses.contains(status)) responses[status] = reference(dialect + std::string(more));
    }
  };
  if (!responses.contains("414")) responses["414"] = reference("Problem");  // said before its path is known
  may_be({"400", "408", "413", "431", "500", "503"});
  if (route.options.scope != Scope::open) may_be({"401", "403", "429"});
}

void add_security(json::object& operation, const Route& route, ScopeSet anonymous) {
  json::array security;
  const Scope scope = route.options.scope;
  if (scope != Scope::open) {
    if (anonymous.has(scope)) security.push_back(json::object());
    security.push_back(json::object{{"key", json::array()}});
    security.push_back(json::object{{"password", json::array()}});
    if (route.options.capability) security.push_back(json::object{{"feedbackToken", json::array()}});
    operation["x-scope"] = name_of(scope);
  }
  operation["security"] = std::move(security);
}

json::object security_schemes() {
  return {
      {"key",
       {{"type", "http"}, {"scheme", "bearer"}, {"description", "An API key; x-scope says what it must be for."}}},
      {"password", {{"type", "http"}, {"scheme", "basic"}, {"description", "The same key, as the password."}}},
      {"feedbackToken",
       {{"type", "apiKey"},
        {"in", "header"},
        {"name", "X-Feedback-Token"},
        {"description",
         "A feedback capability: good for its own answer only, which then need not be named. Also as bearer token or, "
         "for beacons, as feedback_token in the query."}}},
  };
}

}  // namespace

json::object openapi_fragments() {
  json::object all;
  for (std::size_t i = 0; i < openapi_texts_count; ++i) {
    const auto text = openapi_texts[i];
    merge(json::parse({text.data(), text.size()}).as_object(), all);
  }
  return all;
}

json::object openapi_document(const Router& router, ScopeSet anonymous) {
  auto fragments = openapi_fragments();
  const auto& known = fragments.at("paths").as_object();
  json::object paths;
  for (const auto& route : router.routes()) {
    // MLflow's own page asks under /ajax-api what its client asks under /api.
    constexpr std::string_view twin = "/ajax-api/";
    const bool is_twin = route->pattern.starts_with(twin);
    const auto* item = known.if_contains(is_twin ? "/api/" + route->pattern.substr(twin.size()) : route->pattern);
    if (!item) continue;
    std::string method(http::to_string(route->method));
    for (auto& c : method) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const auto* operation = item->get_object().if_contains(method);
    if (!operation) continue;
    auto& path = paths[route->pattern];
    if (!path.is_object()) path = json::object();
    if (const auto* shared = item->get_object().if_contains("parameters")) path.get_object()["parameters"] = *shared;
    auto described = operation->as_object();
    if (is_twin) described["operationId"] = std::string(described.at("operationId").as_string()) + "OfPage";
    add_common_responses(described, *route);
    add_security(described, *route, anonymous);
    path.get_object()[method] = std::move(described);
  }
  auto components = fragments.at("components").as_object();
  components["securitySchemes"] = security_schemes();
  return {{"openapi", "3.1.0"},
          {"info",
           {{"title", "assay"},
            {"version", ASSAY_VERSION},
            {"description", "User feedback for GenAI applications: accepted durably, committed exactly once."}}},
          {"paths", std::move(paths)},
          {"components", std::move(components)}};
}

void add_openapi_route(Router& router, const Gate& gate) {
  struct Document {
    std::once_flag once;
    std::string text;
  };
  auto document = std::make_shared<Document>();
  router.add(http::verb::get, "/openapi.json",
             [&router, &gate, document](Request&) -> Task<Response> {
               std::call_once(document->once, [&] {
                 document->text = json::serialize(openapi_document(router, gate.config().anonymous));
               });
               co_return Response{.body = document->text};
             },
             {.scope = Scope::open, .body_bytes_max = 0});
}

}  // namespace assay
