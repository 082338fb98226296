#pragma once
// Answers that say no, in the dialect of the door: MLflow's JSON on /api, OpenAI's on /v1/chat and /v1/models, RFC 9457
// problem+json everywhere else. The only place where a failure becomes a status.
#include <string>
#include <string_view>

#include "ingest/http/response.hpp"
#include "ops/runtime/result.hpp"

namespace assay {

// The client's fault, in words: `field` names what is wrong (a body field, a query key, a header; may be empty).
struct Rejection {
  Rejection() = default;
  Rejection(unsigned status, std::string field, std::string reason)
      : status(status), field(std::move(field)), reason(std::move(reason)) {}
  unsigned status = 400;
  std::string field;
  std::string reason;
};

// `path` chooses the dialect; `detail` and `field` must be valid UTF-8 (what a client sent is quoted only when
// checked).
Response error_response(std::string_view path, unsigned status, std::string_view detail, std::string_view field = {});
Response error_response(std::string_view path, const Rejection& rejection);

// An error as MLflow's server writes it, with its classes of errors.
std::string mlflow_error(std::string_view code, std::string_view message);

// 503 (over capacity, log full, unavailable, timed out, stopped), 429 (over quota), 404, 501, else 500. With
// Retry-After where a retry can help.
Response error_response(std::string_view path, error_code ec);
unsigned status_of(error_code ec);

// For a path that no route has, or none for this method: `allow` names those that it takes.
Response no_route(std::string_view path, const std::string& allow);

// The detail of a 404 for a path that no route has.
inline constexpr std::string_view nothing_there = "there is nothing at this path";

inline constexpr unsigned retry_after_seconds = 1;

}  // namespace assay
