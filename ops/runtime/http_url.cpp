#include <algorithm>
#include <boost/url.hpp>

#include "ops/runtime/http_client.hpp"
#include "ops/runtime/parse_number.hpp"

namespace assay {

Result<HttpUrl> parse_http_url(std::string_view text) {
  const auto invalid = boost::system::errc::make_error_code(boost::system::errc::invalid_argument);
  const auto parsed = boost::urls::parse_uri(text);
  if (!parsed) return invalid;
  HttpUrl url{.tls = parsed->scheme_id() == boost::urls::scheme::https};
  if (!url.tls && parsed->scheme_id() != boost::urls::scheme::http) return invalid;
  if (parsed->has_userinfo() || parsed->encoded_host().empty()) return invalid;
  url.host = parsed->host_address();
  const auto control = [](unsigned char c) { return c <= 0x20 || c == 0x7f; };
  if (std::any_of(url.host.begin(), url.host.end(), control)) return invalid;  // decoded: %0d%0a
  url.port = url.tls ? "443" : "80";
  if (const std::string_view port = parsed->port(); !port.empty()) {
    const auto number = parse_number<std::uint16_t>(port);
    if (!number || *number == 0) return invalid;
    url.port = std::to_string(*number);
  }
  const auto path = parsed->encoded_path();
  url.target = path.empty() ? "/" : std::string(path);
  if (parsed->has_query()) url.target.append("?").append(parsed->encoded_query());
  return url;
}

}  // namespace assay
