#include "ingest/feedback/capability_routes.hpp"

#include <simdjson.h>

#include <boost/json.hpp>

#include "ingest/http/given_ids.hpp"
#include "ingest/http/json_body.hpp"
#include "ingest/http/query.hpp"
#include "storage/records/json_writer.hpp"

namespace assay {
namespace {

namespace json = boost::json;

struct Wanted {
  Capability capability;
  std::int64_t expires_in = 0;
};

std::optional<Rejection> take_id(const json::value& value, std::string_view field, std::string& into) {
  if (!value.is_string()) return Rejection{422, std::string(field), "it is not a string"};
  into = std::string_view(value.get_string());
  return field == "user_id" ? problem_with_id(field, into) : problem_with_target_id(field, into);
}

std::optional<Rejection> take_names(const json::value& value, std::vector<std::string>& names) {
  if (!value.is_array()) return Rejection{422, "names", "it is not a list"};
  names.clear();
  for (const auto& name : value.get_array()) {
    if (!name.is_string()) return Rejection{422, "names", "it has something that is not a string"};
    names.emplace_back(std::string_view(name.get_string()));
  }
  if (auto problem = problem_with_names(names)) return Rejection{422, "names", *problem};
  return {};
}

Result<Wanted, Rejection> parse(std::string_view body, const CapabilityConfig& config) {
  if (!simdjson::validate_utf8(body)) return Rejection{400, "body", "it is not UTF-8"};
  boost::system::error_code ec;
  json::parse_options options;
  options.max_depth = 8;
  const auto value = json::parse({body.data(), body.size()}, ec, {}, options);
  if (ec) return Rejection{400, "body", "it is not valid JSON"};
  if (!value.is_object()) return Rejection{422, "body", "it is not an object"};
  Wanted wanted{.capability = {.names = config.names}, .expires_in = config.ttl.count()};
  auto& capability = wanted.capability;
  for (const auto& [key, given] : value.get_object()) {
    const std::string_view name(key);
    std::optional<Rejection> problem;
    if (name == "trace_id") {
      problem = take_id(given, name, capability.trace_id);
    } else if (name == "client_request_id") {
      problem = take_id(given, name, capability.client_request_id);
    } else if (name == "user_id") {
      problem = take_id(given, name, capability.user);
    } else if (name == "names") {
      problem = take_names(given, capability.names);
    } else if (name == "expires_in") {
      boost::system::error_code ec;
      const auto seconds = given.to_number<std::int64_t>(ec);  // 60.0 is a whole number, too
      if (ec || seconds < 1 || seconds > config.ttl_max.count())
        problem = Rejection{422, "expires_in",
                            "it is not a number of seconds from 1 to " + std::to_string(config.ttl_max.count())};
      else
        wanted.expires_in = seconds;
    } else {
      problem = Rejection{422, std::string(name), "there is no such field"};
    }
    if (problem) return *problem;
  }
  if (capability.trace_id.empty() && capability.client_request_id.empty())
    return Rejection{422, "trace_id", "it is missing (or client_request_id)"};
  return wanted;
}

Task<Response> post_capabilities(const Gate& gate, const CapabilityConfig& config, const Clock& clock,
                                 Request& request) {
  const auto* keys = gate.capability_keys();
  if (!keys) co_return error_response(request.path, 501, "this door has no keys to sign capabilities with");
  if (const auto query = Query::parse(request.query); !query) co_return error_response(request.path, query.error());
  if (const auto problem = problem_with_form(request)) co_return error_response(request.path, *problem);
  auto wanted = parse(request.body, config);
  if (!wanted) co_return error_response(request.path, wanted.error());
  auto& capability = wanted->capability;
  capability.expires_at =
      std::chrono::floor<std::chrono::seconds>(clock.now()) + std::chrono::seconds(wanted->expires_in);
  const auto token = keys->mint(capability);
  if (token.size() > capability_bytes_max)
    co_return error_response(request.path, 422, "they are too long together", "names");
  Response response;
  response.headers.emplace_back("Cache-Control", "no-store");
  JsonWriter(response.body)
      .begin_object()
      .field("feedback_token", token)
      .field("expires_at", format_time(capability.expires_at))
      .end_object();
  co_return response;
}

}  // namespace

std::optional<std::string> problem_with_names(const std::vector<std::string>& names) {
  if (names.empty()) return "it is empty";
  if (names.size() > capability_names_max) return "it has more than " + std::to_string(capability_names_max) + " names";
  for (const auto& name : names) {
    if (problem_with_id("names", name)) return "a name in it is empty, too long, or no plain text";
    if (name.find('*') < name.size() - 1) return "a name in it has a * that is not its end";
  }
  // A token has to hold them beside the longest ids.
  std::size_t bytes = 0;
  for (const auto& name : names) bytes += name.size();
  if (bytes > capability_names_bytes_max)
    return "together they are longer than " + std::to_string(capability_names_bytes_max) + " bytes";
  return {};
}

void add_capability_routes(Router& router, const Gate& gate, const CapabilityConfig& config, const Clock& clock) {
  router.add(http::verb::post, "/capabilities",
             [&gate, &config, &clock](Request& request) { return post_capabilities(gate, config, clock, request); },
             {.scope = Scope::feedback, .body_bytes_max = 16u << 10});
}

std::string mint_for_answer(const Gate& gate, const CapabilityConfig& config, std::string_view trace_id,
                            std::string_view client_request_id, std::string_view user, Instant now) {
  const auto* keys = gate.capability_keys();
  if (!keys) return {};
  Capability capability{.trace_id = std::string(trace_id),
                        .client_request_id = std::string(client_request_id),
                        .user = std::string(user),
                        .names = config.names,
                        .expires_at = now + config.ttl};
  return keys->mint(capability);
}

}  // namespace assay
