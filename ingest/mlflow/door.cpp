#include "ingest/mlflow/door.hpp"

#include <boost/json/serialize.hpp>
#include <charconv>
#include <cmath>

#include "ops/runtime/parse_number.hpp"
#include "storage/records/exact_json.hpp"
#include "storage/records/python_text.hpp"

namespace assay {
namespace {

namespace json = boost::json;

constexpr std::string_view see_the_docs = " See the API docs for more information about request parameters.";

unsigned status_of(std::string_view code) {
  if (code == "RESOURCE_DOES_NOT_EXIST" || code == "ENDPOINT_NOT_FOUND") return 404;
  if (code == "RESOURCE_CONFLICT") return 409;
  if (code == "NOT_IMPLEMENTED") return 501;
  if (code == "TEMPORARILY_UNAVAILABLE") return 503;
  if (code == "INTERNAL_ERROR" || code == "INVALID_STATE") return 500;
  return 400;
}

// mlflow-python-client/2.22.0
bool speaks_version_2(const Request& request) {
  constexpr std::string_view client = "mlflow-python-client/";
  const auto agent = request.header("User-Agent");
  if (!agent || !agent->starts_with(client)) return false;
  int major = 0;
  std::from_chars(agent->data() + client.size(), agent->data() + agent->size(), major);
  return major > 0 && major < 3;
}

Task<Response> checked(const Handler& handler, Request& request) {
  if (speaks_version_2(request)) {
    MlflowError error{"BAD_REQUEST",
                      "This server speaks the tracing protocol of MLflow 3 and this client is older: upgrade it with "
                      "`pip install -U 'mlflow>=3.1'`."};
    co_return error_response(error);
  }
  co_return co_await handler(request);
}

}  // namespace

Response error_response(const MlflowError& error) {
  Response response{.status = status_of(error.code), .body = mlflow_error(error.code, error.message)};
  if (response.status == 503) response.headers.emplace_back("Retry-After", std::to_string(retry_after_seconds));
  return response;
}

void add_mlflow(Router& router, http::verb method, std::string_view path, const Handler& handler,
                RouteOptions options) {
  for (const std::string prefix : {"/api/", "/ajax-api/"})
    router.add(
        method, prefix + std::string(path), [handler](Request& request) { return checked(handler, request); }, options);
}

std::optional<MlflowError> problem_with_content_type(const Request& request) {
  const auto type = request.header("Content-Type");
  if (!type) return invalid_parameter("Bad Request. Content-Type header is missing.");
  if (std::string_view(*type).substr(0, type->find(';')) != "application/json")
    return invalid_parameter("Bad Request. Content-Type must be one of ['application/json'].");
  return {};
}

Result<json::object, MlflowError> read_body(const Request& request) {
  if (!request.body.empty() || request.method == http::verb::post)
    if (auto problem = problem_with_content_type(request)) return std::move(*problem);
  json::parse_options options;
  options.max_depth = message_depth_max;
  error_code ec;
  const auto value = parse_json({request.body.data(), request.body.size()}, ec, options);
  if (ec == json::error::too_deep)
    return invalid_parameter("it is nested deeper than " + std::to_string(message_depth_max) + " levels");
  if (ec == json::error::exponent_overflow) return invalid_parameter(std::string(number_too_large));
  if (ec || !value.is_object()) return json::object();
  return fields_of(value.get_object());
}

MlflowError missing(std::string_view name) {
  return invalid_parameter("Missing value for required parameter '" + std::string(name) + "'." +
                           std::string(see_the_docs));
}

MlflowError wrong_value(std::string_view name, const json::value& value, std::string_view python_type) {
  const auto text = value.is_double() ? python_float(value.get_double()) : json::serialize(value);
  return invalid_parameter("Invalid value " + text + " for parameter '" + std::string(name) +
                           "' supplied:  Hint: Value was of type '" + std::string(python_type) + "'." +
                           std::string(see_the_docs));
}

std::string_view python_type(const json::value& value) {
  if (value.is_bool()) return "bool";
  if (value.is_number()) return value.is_double() ? "float" : "int";
  if (value.is_string()) return "str";
  return value.is_array() ? "list" : "dict";
}

std::string text_in(const json::object& body, std::string_view name) {
  const auto* value = body.if_contains(name);
  const auto* text = value ? value->if_string() : nullptr;
  return text ? std::string(text->data(), text->size()) : std::string();
}

Result<std::string, MlflowError> required_text(const json::object& body, std::string_view name) {
  const auto* value = body.if_contains(name);
  if (value && !value->is_string()) return wrong_value(name, *value, python_type(*value));
  auto text = text_in(body, name);
  if (text.empty()) return missing(name);
  return text;
}

std::optional<std::int64_t> integer_in(const json::object& body, std::string_view name) {
  const auto* value = body.if_contains(name);
  if (!value) return {};
  if (value->is_int64()) return value->get_int64();
  if (const auto* number = value->if_double(); number && std::abs(*number) < 9e18)
    return static_cast<std::int64_t>(*number);
  if (const auto* text = value->if_string()) return parse_number<std::int64_t>({text->data(), text->size()});
  return {};
}

std::optional<MlflowError> problem_with_types(const json::object& body, std::initializer_list<Field> fields) {
  for (const auto& [name, type] : fields) {
    const auto* value = body.if_contains(name);
    if (!value) continue;
    const bool good = type == FieldType::text   ? value->is_string()
                      : type == FieldType::list ? value->is_array()
                                                : integer_in(body, name).has_value();
    if (!good) return wrong_value(name, *value, python_type(*value));
  }
  return {};
}

Result<std::vector<std::string>, MlflowError> texts_in(const json::object& body, std::string_view name) {
  std::vector<std::string> out;
  const auto* value = body.if_contains(name);
  if (!value) return out;
  const auto* list = value->if_array();
  if (!list) return wrong_value(name, *value, python_type(*value));
  for (const auto& element : *list) {
    const auto* text = element.if_string();
    if (!text) return wrong_value(name, *value, "list");
    out.emplace_back(text->data(), text->size());
  }
  return out;
}

Response answer(std::string body) { return {.body = std::move(body)}; }

Response durable(const MlflowDoor& door, std::string body) {
  Response response{.body = std::move(body)};
  response.headers.emplace_back("Assay-Durability", std::string(door.log.durability()));
  return response;
}

Response read_failed(const Request& request, error_code ec) { return error_response(request.path, ec); }

Task<std::optional<Response>> ready_to_read(MlflowDoor& door, const Request& request) {
  if (!door.view)
    co_return error_response(request.path, 501, "this front door has no store to read from: start it with --view");
  const auto applied = co_await door.view->applied(door.config.view_wait);
  if (!applied) {
    auto late = error_response(request.path, applied.error());
    late.cause = {};  // nothing was refused that is to be kept
    co_return late;
  }
  co_return std::nullopt;
}

Task<CatalogTurn> begin_change(MlflowDoor& door, const Request& request) {
  auto turn = co_await door.catalog.enter(door.config.view_wait);
  CatalogTurn begun{std::move(turn), {}};
  if (begun.turn)
    begun.refused = co_await ready_to_read(door, request);
  else
    begun.refused = error_response(request.path, make_error_code(Error::timed_out));
  co_return begun;
}

Task<std::optional<Response>> write_all(MlflowDoor& door, const Request& request, std::vector<Record> records) {
  const auto appended = co_await door.log.append_all(std::move(records));
  for (const auto& one : appended)
    if (!one) co_return error_response(request.path, one.error());
  co_return std::nullopt;
}

}  // namespace assay
