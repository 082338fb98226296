#include "ingest/http/error_response.hpp"

#include <boost/beast/http/status.hpp>

#include "ingest/http/not_here.hpp"
#include "ops/runtime/error.hpp"
#include "storage/records/json_writer.hpp"

namespace assay {
namespace {

std::string_view reason_phrase(unsigned status) {
  const auto text = boost::beast::http::obsolete_reason(boost::beast::http::int_to_status(status));
  return {text.data(), text.size()};
}

std::string_view mlflow_code(unsigned status) {
  switch (status) {
    case 400:
    case 422:
      return "INVALID_PARAMETER_VALUE";
    case 401:
      return "UNAUTHENTICATED";
    case 403:
      return "PERMISSION_DENIED";
    case 404:
      return "RESOURCE_DOES_NOT_EXIST";
    case 405:
      return "ENDPOINT_NOT_FOUND";
    case 409:
      return "RESOURCE_CONFLICT";
    case 429:
      return "REQUEST_LIMIT_EXCEEDED";
    case 500:
      return "INTERNAL_ERROR";
    case 501:
      return "NOT_IMPLEMENTED";
    case 502:
    case 503:
      return "TEMPORARILY_UNAVAILABLE";
    case 504:
      return "DEADLINE_EXCEEDED";
    default:
      return "BAD_REQUEST";
  }
}

// What MLflow concludes from a code; empty: nothing.
std::string_view mlflow_class(std::string_view code) {
  if (code == "RESOURCE_DOES_NOT_EXIST" || code == "ENDPOINT_NOT_FOUND") return "RESOURCE_NOT_FOUND";
  if (code == "INVALID_PARAMETER_VALUE" || code == "BAD_REQUEST") return "INVALID_PARAMETER_VALUE";
  if (code == "RESOURCE_ALREADY_EXISTS" || code == "PERMISSION_DENIED") return code;
  if (code == "INTERNAL_ERROR" || code == "INVALID_STATE" || code == "TEMPORARILY_UNAVAILABLE")
    return "CLIENT_INTERNAL_ERROR";
  return {};
}

std::string_view openai_type(unsigned status) {
  if (status == 429) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

std::string sentence(std::string_view detail, std::string_view field) {
  std::string out(field);
  if (!out.empty()) out += ": ";
  return out += detail;
}

}  // namespace

std::string mlflow_error(std::string_view code, std::string_view message) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("error_code", code).field("message", message);
  if (const auto error_class = mlflow_class(code); !error_class.empty())
    json.field("sqlstate", error_class == "CLIENT_INTERNAL_ERROR" ? "XXM00" : "KAM00")
        .field("error_class", error_class);
  json.end_object();
  return out;
}

Response error_response(std::string_view path, unsigned status, std::string_view detail, std::string_view field) {
  Response response{.status = status};
  JsonWriter json(response.body);
  if (under(path, "/api") || under(path, "/ajax-api")) {
    if (status == 422) response.status = 400;  // MLflow has no other word for what is invalid
    // What is at no path is another thing than what is not known.
    const std::string_view code = status == 404 && detail == nothing_there ? "ENDPOINT_NOT_FOUND" : mlflow_code(status);
    json.raw(mlflow_error(code, sentence(detail, field)));
  } else if (under(path, "/v1") && !under(path, "/v1/traces")) {  // OpenAI's
    json.begin_object().key("error").begin_object();
    json.field("message", detail).field("type", openai_type(status)).key("param");
    if (field.empty())
      json.null();
    else
      json.value(field);
    json.key("code");
    if (status == 401)
      json.value("invalid_api_key");
    else
      json.null();
    json.end_object().end_object();
  } else {
    response.content_type = problem_type;
    json.begin_object().field("type", "about:blank").field("title", reason_phrase(status)).field("status", status);
    json.field("detail", sentence(detail, field));
    if (!field.empty()) json.field("field", field);
    json.end_object();
  }
  if (status == 503 || status == 429) response.headers.emplace_back("Retry-After", std::to_string(retry_after_seconds));
  return response;
}

Response no_route(std::string_view path, const std::string& allow) {
  if (const auto what = not_here(path); !what.empty()) {
    const std::string detail =
        "assay has no " + std::string(what) + "; an MLflow server behind it (--mlflow-url) is asked for them";
    return {.status = 404, .body = mlflow_error("ENDPOINT_NOT_FOUND", detail)};
  }
  if (allow.empty()) return error_response(path, 404, nothing_there);
  auto response = error_response(path, 405, "this path does not take this method");
  response.headers.emplace_back("Allow", allow);
  return response;
}

Response error_response(std::string_view path, const Rejection& rejection) {
  return error_response(path, rejection.status, rejection.reason, rejection.field);
}

unsigned status_of(error_code ec) {
  if (ec == Error::over_quota) return 429;
  if (ec == Error::not_found) return 404;
  if (ec == Error::unsupported) return 501;
  if (ec == boost::system::errc::message_size) return 413;  // longer than a record of the log can be
  if (ec == Error::over_capacity || ec == Error::log_unavailable || ec == Error::log_full || ec == Error::timed_out ||
      ec == Error::stopped || ec == Error::log_changed)
    return 503;
  return 500;
}

Response error_response(std::string_view path, error_code ec) {
  const auto status = status_of(ec);
  if (status == 413) return error_response(path, status, "it is longer than a record of the event log may be");
  auto detail = status == 500 ? std::string("an error of our own") : ec.message();
  if (ec == Error::timed_out)
    detail =
        "the event log, or a worker that decides what was accepted, did not answer in time: ask again, and say "
        "again what you said with its Idempotency-Key";
  auto response = error_response(path, status, detail);
  response.cause = ec;
  return response;
}

}  // namespace assay
