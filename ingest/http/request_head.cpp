#include "ingest/http/request_head.hpp"

#include <simdjson.h>

#include <algorithm>
#include <boost/beast/core/string.hpp>
#include <cctype>
#include <cstring>

#include "ops/runtime/parse_number.hpp"

namespace assay {
namespace {

// host [":" port] as RFC 9110 has it; empty: a client without one. No comma: two in one field are none.
bool is_authority(std::string_view text) {
  constexpr std::string_view in_name = "-._~%!$&'()*+;=", in_address = ":.";
  const auto is_one_of = [](std::string_view text, std::string_view more) {
    return std::all_of(text.begin(), text.end(), [more](unsigned char c) {
      return std::isalnum(c) != 0 || more.find(static_cast<char>(c)) != more.npos;
    });
  };
  std::string_view port;
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == text.npos || end < 3 || !is_one_of(text.substr(1, end - 1), in_address)) return false;
    port = text.substr(end + 1);
  } else {
    const auto name = text.substr(0, text.find(':'));
    if (!is_one_of(name, in_name)) return false;
    port = text.substr(name.size());
    if (name.empty() && !port.empty()) return false;
  }
  if (port.empty()) return true;
  if (port.front() != ':') return false;
  port.remove_prefix(1);
  return port.empty() || parse_number<std::uint16_t>(port);
}

}  // namespace

Result<std::size_t, Rejection> HeadScanner::scan(std::string_view bytes) {
  while (position_ < bytes.size()) {
    const auto* found = static_cast<const char*>(std::memchr(bytes.data() + position_, '\n', bytes.size() - position_));
    const auto line_end = found ? static_cast<std::size_t>(found - bytes.data()) : bytes.size();
    position_ = found ? line_end + 1 : bytes.size();
    if (lines_ == 0 && line_end - line_ > config_.target_bytes_max)
      return Rejection{414, "", "the request line is too long"};
    if (position_ > config_.target_bytes_max + config_.header_bytes_max)
      return Rejection{431, "", "the header is too large"};
    if (!found) break;
    if (line_end == line_ || bytes[line_end - 1] != '\r')
      return Rejection{400, "", "a line of the header ends without a carriage return"};
    if (line_end - line_ == 1) return line_end + 1;
    if (bytes[line_] == ' ' || bytes[line_] == '\t') return Rejection{400, "", "a line of the header is folded"};
    if (++lines_ > config_.header_fields_max + 1) return Rejection{431, "", "the header has too many fields"};
    line_ = line_end + 1;
  }
  return std::size_t{0};
}

RequestParser::RequestParser(RequestHead& head) : head_(head) {
  head_.fields.clear();
  head_.content_length = 0;
  head_.chunked = head_.expects_continue = head_.http_1_0 = false;
  body_limit(boost::none);
  header_limit(~std::uint32_t{0});
}

void RequestParser::refuse(std::string_view field, std::string_view reason, error_code& ec) {
  rejection_ = {400, std::string(field), std::string(reason)};
  ec = http::error::bad_value;
}

void RequestParser::on_request_impl(http::verb method, sv, sv target, int version, error_code& ec) {
  head_.method = method;
  head_.http_1_0 = version == 10;
  if (version != 10 && version != 11) return refuse("", "only HTTP/1.1 and HTTP/1.0 are spoken here", ec);
  if (!take_target({target.data(), target.size()})) refuse("", "the request target is malformed", ec);
}

// origin-form, or absolute-form as it is sent to proxies; the authority is left to Host.
bool RequestParser::take_target(std::string_view target) {
  for (const auto c : target)
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f || c == '#') return false;
  if (target != "*" && !target.starts_with('/')) {
    const auto scheme = target.find("://");
    if (scheme == target.npos) return false;
    const auto name = target.substr(0, scheme);
    if (!boost::beast::iequals(name, "http") && !boost::beast::iequals(name, "https")) return false;
    target.remove_prefix(scheme + 3);
    const auto authority = target.substr(0, target.find_first_of("/?"));
    if (authority.empty() || !is_authority(authority)) return false;
    target.remove_prefix(authority.size());
  }
  const auto question = target.find('?');
  head_.path = question == 0 || target.empty() ? std::string_view("/") : target.substr(0, question);
  head_.query = question == target.npos ? std::string_view() : target.substr(question + 1);
  return simdjson::validate_utf8(target.data(), target.size());
}

void RequestParser::on_field_impl(http::field name, sv name_text, sv value_text, error_code& ec) {
  if (in_body_) return;  // trailers mean nothing here
  const std::string_view value(value_text.data(), value_text.size());
  switch (name) {
    case http::field::host:
      if (++hosts_ > 1) return refuse("Host", "is given twice", ec);
      if (!is_authority(value)) return refuse("Host", "is not a host and a port", ec);
      break;
    case http::field::authorization:
      if (++authorizations_ > 1) return refuse("Authorization", "is given twice", ec);
      break;
    case http::field::origin:
      if (++origins_ > 1) return refuse("Origin", "is given twice", ec);
      break;
    case http::field::content_length:
      if (++lengths_ > 1) return refuse("Content-Length", "is given twice", ec);
      for (const auto c : value)
        if (c < '0' || c > '9') return refuse("Content-Length", "is not a number", ec);
      break;
    case http::field::transfer_encoding:
      if (++codings_ > 1 || !boost::beast::iequals(value, "chunked"))
        return refuse("Transfer-Encoding", "may only be chunked, once", ec);
      if (head_.http_1_0) return refuse("Transfer-Encoding", "does not exist in HTTP/1.0", ec);
      head_.chunked = true;
      break;
    case http::field::expect:
      if (!boost::beast::iequals(value, "100-continue")) return refuse("Expect", "may only be 100-continue", ec);
      head_.expects_continue = true;
      break;
    default:
      break;
  }
  head_.fields.push_back({{name_text.data(), name_text.size()}, value});
}

Result<void, Rejection> RequestParser::parse_head(std::string_view bytes) {
  error_code ec;
  const auto used = put(boost::asio::const_buffer(bytes.data(), bytes.size()), ec);
  if (ec || used != bytes.size() || !is_header_done()) {
    if (!rejection_.reason.empty()) return rejection_;
    return Rejection{400, "", "the header is malformed: " + ec.message()};
  }
  if (hosts_ == 0 && !head_.http_1_0) return Rejection{400, "Host", "is missing"};
  if (lengths_ > 0 && head_.chunked) return Rejection{400, "Content-Length", "stands beside Transfer-Encoding"};
  if (lengths_ > 0) head_.content_length = content_length().value_or(0);
  head_.keep_alive = keep_alive();
  if (head_.http_1_0) head_.expects_continue = false;
  in_body_ = true;
  eager(true);
  return {};
}

// What a chunk announces need not come to be too much.
void RequestParser::on_chunk_header_impl(std::uint64_t size, sv, error_code& ec) {
  if (size <= body_bytes_max_ - std::min(body_->size(), body_bytes_max_)) return;
  rejection_ = {413, "", "the body is too large"};
  ec = http::error::body_limit;
}

std::size_t RequestParser::on_chunk_body_impl(std::uint64_t, sv bytes, error_code& ec) {
  if (body_->size() + bytes.size() > body_bytes_max_) {
    rejection_ = {413, "", "the body is too large"};
    ec = http::error::body_limit;
    return 0;
  }
  body_->append({bytes.data(), bytes.size()});
  return bytes.size();
}

Result<std::size_t, Rejection> RequestParser::parse_chunks(std::string_view bytes, BodyBuffer& body,
                                                           std::size_t body_bytes_max) {
  body_ = &body;
  body_bytes_max_ = body_bytes_max;
  error_code ec;
  const auto used = put(boost::asio::const_buffer(bytes.data(), bytes.size()), ec);
  if (ec == http::error::need_more) ec = {};
  if (!ec) return used;
  if (!rejection_.reason.empty()) return rejection_;
  return Rejection{400, "", "the chunks of the body are malformed"};
}

}  // namespace assay
