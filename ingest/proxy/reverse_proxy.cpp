#include "ingest/proxy/reverse_proxy.hpp"

#include <algorithm>
#include <boost/beast/core/string.hpp>
#include <charconv>
#include <set>

#include "ingest/http/error_response.hpp"
#include "ingest/http/not_here.hpp"
#include "ops/runtime/error.hpp"

namespace assay {
namespace {

bool same_name(std::string_view a, std::string_view b) { return boost::beast::iequals(a, b); }

constexpr std::string_view of_one_hop[] = {
    "Connection",        "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "TE", "Trailer",
    "Transfer-Encoding", "Upgrade"};
bool is_of_one_hop(std::string_view name) {
  return std::any_of(std::begin(of_one_hop), std::end(of_one_hop), [&](auto hop) { return same_name(hop, name); });
}

// What a Connection header names is of this hop, too.
template <class Fields>
std::vector<std::string> named_by_connection(const Fields& fields) {
  std::vector<std::string> names;
  for (const auto& field : fields) {
    if (!same_name(field.name, "Connection")) continue;
    std::string_view rest = field.value;
    while (!rest.empty()) {
      const auto comma = rest.find(',');
      auto name = rest.substr(0, comma);
      while (!name.empty() && (name.front() == ' ' || name.front() == '\t')) name.remove_prefix(1);
      while (!name.empty() && (name.back() == ' ' || name.back() == '\t')) name.remove_suffix(1);
      if (!name.empty()) names.emplace_back(name);
      rest = comma == rest.npos ? std::string_view() : rest.substr(comma + 1);
    }
  }
  return names;
}
bool is_named(const std::vector<std::string>& names, std::string_view name) {
  return std::any_of(names.begin(), names.end(), [&](const auto& one) { return same_name(one, name); });
}

bool is_origin_of(std::string_view origin, std::string_view host) {
  if (host.empty() || !origin.ends_with(host)) return false;
  origin.remove_suffix(host.size());
  return origin == "http://" || origin == "https://";
}

// What the server behind says of origins is not said here: the door's own gate has.
bool is_of_origins(std::string_view name) {
  constexpr std::string_view prefix = "Access-Control-";
  return same_name(name.substr(0, prefix.size()), prefix);
}

// What a client says of where it comes from: this door says that.
bool is_of_forwarding(std::string_view name) {
  constexpr std::string_view ours[] = {"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"};
  return std::any_of(std::begin(ours), std::end(ours), [&](auto one) { return same_name(one, name); });
}

// A value of Forwarded: a token, or quoted.
std::string forwarded_value(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string forwarded_node(const asio::ip::address& address) {
  return forwarded_value(address.is_v6() ? "[" + address.to_string() + "]" : address.to_string());
}

// Keeps the body's own error: what fails then is not the server behind.
Task<Result<std::string_view>> read_some(RequestBody& body, error_code& failed) {
  auto piece = co_await body.read_some();
  if (!piece) failed = piece.error();
  co_return piece;
}

constexpr std::uint64_t question_bytes_max = 64u << 10;

// What MLflow's page asks by POST, and the server only reads: it may be asked again, so its body must be kept.
bool is_question(const Request& request, std::optional<std::uint64_t> length) {
  const bool of_mlflow = under(request.path, "/api") || under(request.path, "/ajax-api");
  return request.method == http::verb::post && length && *length <= question_bytes_max && of_mlflow &&
         (request.path.ends_with("/search") || request.path.ends_with("/search-datasets"));
}

Task<std::string> read_whole(RequestBody& body, error_code& failed) {
  std::string out;
  for (;;) {
    const auto piece = co_await read_some(body, failed);
    if (!piece || piece->empty()) co_return out;
    out += *piece;
  }
}

Rejection refusal_of_body(error_code failed) {
  if (failed == Error::timed_out) return {408, "", "the body did not come in time"};
  if (failed == boost::system::errc::message_size) return {413, "", "the body is larger than is taken here"};
  return {400, "", "the body is malformed, or ends early"};
}

}  // namespace

ReverseProxy::ReverseProxy(ProxyConfig config, Metrics& metrics)
    : config_(std::move(config)),
      http_(HttpClientConfig{.ca_file = config_.ca_file, .connections_max = config_.connections_max}),
      passed_total_(metrics.counter("assay_proxy_passed_total", "Requests that the server behind has answered")),
      failed_total_(metrics.counter("assay_proxy_failed_total", "Requests that the server behind has not answered")) {
  const auto scheme = config_.url.find("://");
  const auto path = scheme == config_.url.npos ? config_.url.npos : config_.url.find('/', scheme + 3);
  origin_ = config_.url.substr(0, path);
  if (path != config_.url.npos) path_ = config_.url.substr(path);
}

HttpRequest ReverseProxy::outgoing(const Request& request) const {
  HttpRequest out;
  out.method = std::string(http::to_string(request.method));
  out.url = config_.url;
  out.target = path_ + std::string(request.path);
  if (!request.query.empty()) out.target.append("?").append(request.query);
  const auto named = named_by_connection(request.headers);
  const auto host = request.header("Host").value_or("");
  std::string via;
  for (const auto& [name, value] : request.headers) {
    if (is_of_one_hop(name) || is_named(named, name)) continue;
    if (same_name(name, "Host") || same_name(name, "Content-Length") || same_name(name, "Expect")) continue;
    if (same_name(name, "Authorization") && config_.keeps_authorization && config_.keeps_authorization()) continue;
    if (is_of_forwarding(name)) continue;
    if (same_name(name, "Via")) {
      via.append(value).append(", ");
      continue;
    }
    if (same_name(name, "Origin")) {
      if (is_origin_of(value, host)) out.headers.push_back({std::string(name), origin_});
      continue;
    }
    out.headers.push_back({std::string(name), std::string(value)});
  }
  const auto* proto = request.tls ? "https" : "http";
  const auto client = config_.client_of ? config_.client_of(request) : request.peer;
  auto forwarded_for = request.peer.to_string(), forwarded = "for=" + forwarded_node(request.peer);
  if (client != request.peer) {
    forwarded_for.insert(0, client.to_string() + ", ");
    forwarded.insert(0, "for=" + forwarded_node(client) + ", ");
  }
  if (!host.empty()) forwarded.append(";host=").append(forwarded_value(host));
  forwarded.append(";proto=").append(proto);
  out.headers.push_back({"Via", via + "1.1 assay"});
  out.headers.push_back({"X-Forwarded-For", std::move(forwarded_for)});
  out.headers.push_back({"Forwarded", std::move(forwarded)});
  if (!host.empty()) out.headers.push_back({"X-Forwarded-Host", std::string(host)});
  out.headers.push_back({"X-Forwarded-Proto", proto});
  return out;
}

Task<void> ReverseProxy::pass(Request& request, RequestBody& body, ResponseStream& answer) {
  const bool tunnel = request.method == http::verb::connect;
  if (tunnel || request.method == http::verb::unknown) {
    auto refusal =
        error_response(request.path, 501, tunnel ? "this door is no tunnel" : "this method is not known here");
    co_await answer.respond(std::move(refusal));
    co_return;
  }
  auto asked = outgoing(request);
  error_code body_failed;
  const auto length = body.length();
  asked.repeatable = is_question(request, length);
  if (asked.repeatable) {
    asked.body = co_await read_whole(body, body_failed);
  } else if (!length || *length > 0) {
    asked.source_bytes = length;
    asked.source = [&body, &body_failed] { return read_some(body, body_failed); };
  }
  Result<HttpStream> upstream = body_failed;
  if (!body_failed) upstream = co_await http_.open(std::move(asked), config_.limits);
  if (upstream) {
    passed_total_.Increment();
    co_return co_await pass_back(std::move(*upstream), request, answer);
  }
  if (body_failed) {
    if (answer.gone()) co_return;
    auto refusal = error_response(request.path, refusal_of_body(body_failed));
    co_await answer.respond(std::move(refusal));
    co_return;
  }
  failed_total_.Increment();
  const bool slow = upstream.error() == Error::timed_out;
  const auto problem = slow ? "the MLflow server behind did not answer in time"
                            : "the MLflow server behind can't be reached: " + upstream.error().message();
  auto response = error_response(request.path, slow ? 504 : 502, problem);
  co_await answer.respond(std::move(response));
}

Task<void> ReverseProxy::pass_back(HttpStream upstream, const Request& request, ResponseStream& answer) {
  const auto& head = upstream.head();
  const auto named = named_by_connection(head.headers);
  std::vector<std::pair<std::string_view, std::string>> headers;
  std::optional<std::uint64_t> length;
  for (const auto& [name, value] : head.headers) {
    if (is_of_one_hop(name) || is_of_origins(name) || is_named(named, name)) continue;
    if (same_name(name, "Date") || same_name(name, "Server")) continue;  // this door's own
    if (same_name(name, "Content-Length")) {
      std::uint64_t n = 0;
      const auto [end, ec] = std::from_chars(value.data(), value.data() + value.size(), n);
      if (ec == std::errc()) length = n;
      continue;
    }
    auto text = value;
    if (same_name(name, "Location") && text.starts_with(origin_ + "/")) text = text.substr(origin_.size());
    headers.emplace_back(name, std::move(text));
  }
  const bool bodiless = request.method == http::verb::head || head.status == 204 || head.status == 304;
  if (head.status == 204 || head.status == 304) length = 0;  // of HEAD it is the server's to say, or not
  auto begun = Result<void>();
  if (length)
    begun = co_await answer.begin_sized(head.status, headers, *length);
  else
    begun = co_await answer.begin(head.status, {}, headers);
  if (!begun) co_return;
  std::uint64_t passed = 0;
  for (bool more = true; more;) {
    const auto piece = co_await upstream.read_some();
    if (!piece) co_return;  // cut here as it was cut there
    more = !piece->empty();
    passed += piece->size();
    if (!more) break;
    const auto written = co_await answer.write(*piece);
    if (!written) co_return;
  }
  if (length && passed != *length && !bodiless) co_return;
  co_await answer.end();
}

}  // namespace assay
