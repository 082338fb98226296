#include "ops/runtime/http_attempt.hpp"

#include "ops/runtime/http_pool.hpp"

namespace assay {
namespace {

bool is_repeatable(const HttpRequest& request) {
  for (const auto* method : {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
    if (request.method == method) return true;
  return request.repeatable;
}

bool is_closed(error_code ec) {
  return ec == http_pool::http::error::end_of_stream || ec == asio::error::eof || ec == asio::error::connection_reset ||
         ec == asio::error::broken_pipe || ec == http_pool::ssl::error::stream_truncated;
}

}  // namespace

bool may_send_again(const HttpAttempt& attempt, const HttpRequest& request) {
  if (!attempt.reused || !is_closed(attempt.ec) || attempt.received > 0 || attempt.pulled) return false;
  return attempt.written == 0 || is_repeatable(request);
}

}  // namespace assay
