#include "ingest/ws/handshake.hpp"

#include <algorithm>
#include <boost/beast/http/rfc7230.hpp>

#include "ingest/http/error_response.hpp"

namespace assay {
namespace {

constexpr std::string_view version = "13";

bool has_token(const Request& request, std::string_view header, std::string_view token) {
  return http::token_list(request.header(header).value_or(std::string_view())).exists(token);
}

// 16 bytes in base64.
bool is_key(std::string_view text) {
  const auto is_digit = [](unsigned char c) { return std::isalnum(c) || c == '+' || c == '/'; };
  return text.size() == 24 && text.ends_with("==") && std::all_of(text.begin(), text.end() - 2, is_digit);
}

Response upgrade_required(const Request& request, std::string_view why, std::string_view field = {}) {
  auto response = error_response(request.path, 426, why, field);
  response.headers.emplace_back("Connection", "Upgrade");
  response.headers.emplace_back("Upgrade", "websocket");
  response.headers.emplace_back("Sec-WebSocket-Version", version);
  return response;
}

}  // namespace

Response handshake_refusal(const Request& request) {
  if (request.head || request.http_1_0) return upgrade_required(request, "this is a WebSocket: GET, with HTTP/1.1");
  if (!has_token(request, "Upgrade", "websocket") || !has_token(request, "Connection", "upgrade"))
    return upgrade_required(request, "this is a WebSocket");
  if (request.header("Sec-WebSocket-Version") != version)
    return upgrade_required(request, "is not 13", "Sec-WebSocket-Version");
  if (request.count("Sec-WebSocket-Key") != 1 || !is_key(*request.header("Sec-WebSocket-Key")))
    return error_response(request.path, 400, "must be 16 bytes in base64, given once", "Sec-WebSocket-Key");
  return {};
}

}  // namespace assay
