#include "ops/runtime/http_client.hpp"

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <charconv>

#include "ops/runtime/cancelled.hpp"
#include "ops/runtime/http_attempt.hpp"
#include "ops/runtime/http_pool.hpp"

namespace assay {

namespace http = http_pool::http;
using http_pool::Lease;
using http_pool::plain;
using http_pool::steady_now;
using http_pool::SteadyTime;

namespace {

constexpr std::size_t piece_bytes = 16u << 10;
constexpr int interim_responses_max = 8;

bool same_name(std::string_view a, std::string_view b) { return boost::beast::iequals(a, b); }

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) || std::string_view("!#$%&'*+-.^_`|~").find(static_cast<char>(c)) != std::string_view::npos;
  });
}
bool is_target(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](unsigned char c) { return c <= 0x20 || c == 0x7f; });
}
bool is_field_value(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; });
}

// Header and body in one piece, so that they go out in one write.
Result<std::string> request_bytes(const HttpRequest& request, const HttpUrl& url) {
  const auto invalid = boost::system::errc::make_error_code(boost::system::errc::invalid_argument);
  if (!is_token(request.method) || !is_target(request.target)) return invalid;
  std::string out;
  out.reserve(512 + request.body.size());
  out.append(request.method)
      .append(" ")
      .append(request.target.empty() ? url.target : request.target)
      .append(" HTTP/1.1\r\nHost: ");
  const bool is_v6 = url.host.find(':') != std::string::npos;
  if (!is_field_value(request.host)) return invalid;
  out.append(!request.host.empty() ? request.host : is_v6 ? "[" + url.host + "]" : url.host);
  if (request.host.empty() && url.port != (url.tls ? "443" : "80")) out.append(":").append(url.port);
  out.append("\r\n");
  bool has_agent = false;
  for (const auto& header : request.headers) {
    if (!is_token(header.name) || !is_field_value(header.value)) return invalid;
    if (same_name(header.name, "Host") || same_name(header.name, "Content-Length") ||
        same_name(header.name, "Connection") || same_name(header.name, "Transfer-Encoding"))
      return invalid;
    has_agent |= same_name(header.name, "User-Agent");
    out.append(header.name).append(": ").append(header.value).append("\r\n");
  }
  if (!has_agent) out.append("User-Agent: assay/" ASSAY_VERSION "\r\n");
  if (request.source) {
    if (request.source_bytes)
      out.append("Content-Length: ").append(std::to_string(*request.source_bytes)).append("\r\n\r\n");
    else
      out.append("Transfer-Encoding: chunked\r\n\r\n");
    return out;
  }
  const bool has_body = !request.body.empty() || (request.method != "GET" && request.method != "HEAD");
  if (has_body) out.append("Content-Length: ").append(std::to_string(request.body.size())).append("\r\n");
  out.append("\r\n").append(request.body);
  return out;
}

}  // namespace

std::string_view HttpHead::header(std::string_view name) const {
  for (const auto& header : headers)
    if (same_name(header.name, name)) return header.value;
  return {};
}

struct HttpStream::State {
  State(Lease l, HttpLimits lim, SteadyTime end) : lease(std::move(l)), limits(lim), deadline(end) {}

  using Parser = http::response_parser<http::buffer_body>;
  void expire_after(std::chrono::milliseconds limit) {
    lease.connection->tcp_stream.expires_at(std::min(steady_now() + limit, deadline));
  }

  Lease lease;
  HttpLimits limits;
  SteadyTime deadline;
  std::optional<Parser> parser;
  HttpHead head;
  bool ended = false;
};

HttpStream::HttpStream(std::unique_ptr<State> state) : state_(std::move(state)) {}
HttpStream::HttpStream(HttpStream&&) noexcept = default;
HttpStream& HttpStream::operator=(HttpStream&&) noexcept = default;
HttpStream::~HttpStream() = default;

const HttpHead& HttpStream::head() const { return state_->head; }

Task<Result<std::string>> HttpStream::read_some() {
  auto& s = *state_;
  if (s.ended) co_return std::string();
  auto& connection = *s.lease.connection;
  std::string piece(piece_bytes, '\0');
  while (!s.parser->is_done()) {
    auto& body = s.parser->get().body();
    body.data = piece.data();
    body.size = piece.size();
    body.more = true;
    // A cancellation that comes while a read has just been done reaches no other.
    if (co_await is_cancelled()) co_return make_error_code(asio::error::operation_aborted);
    s.expire_after(s.limits.between_reads);
    auto [ec, n] = co_await connection.read_some(*s.parser);
    connection.ack_quickly();
    if (ec == http::error::need_buffer) ec = {};
    if (ec) co_return plain(ec);
    if (const auto got = piece.size() - s.parser->get().body().size) {
      piece.resize(got);
      co_return piece;
    }
  }
  s.ended = true;
  connection.tcp_stream.expires_never();
  if (s.parser->keep_alive() && connection.buffer.size() == 0)
    s.lease.keep();
  else
    s.lease.connection.reset();
  co_return std::string();
}

Task<void> HttpStream::finish(std::chrono::milliseconds patience) {
  auto& s = *state_;
  s.deadline = std::min(s.deadline, steady_now() + patience);
  while (!s.ended) {
    auto piece = co_await read_some();
    if (piece) continue;
    s.ended = true;
    s.lease.connection.reset();
  }
}

HttpClient::HttpClient(HttpClientConfig config) : pool_(std::make_shared<Pool>(std::move(config))) {}
HttpClient::~HttpClient() { pool_->close(); }
std::size_t HttpClient::connections() const { return pool_->count(); }

namespace {

// The body of a request, piece by piece. False: the server takes no more; `ec` of the source, where it failed.
Task<bool> send_source(const HttpRequest& request, HttpStream::State& state, error_code& ec) {
  for (;;) {
    const auto piece = co_await request.source();
    if (!piece) {
      ec = piece.error();
      co_return false;
    }
    std::string framed;
    if (!request.source_bytes) {
      char size[20];
      const auto end = std::to_chars(size, size + sizeof size, piece->size(), 16).ptr;
      framed.append(size, end).append("\r\n").append(*piece).append("\r\n");
    }
    const bool last = piece->empty();
    if (last && request.source_bytes) co_return true;
    state.expire_after(state.limits.first_byte);
    const auto [write_ec, n] = co_await state.lease.connection->write(request.source_bytes ? *piece : framed);
    if (write_ec) co_return false;
    if (last) co_return true;
  }
}

// An idle connection, where it may be one and there is one, or a new one.
Task<Result<Lease>> take_connection(const std::shared_ptr<HttpClient::Pool>& pool, const HttpUrl& url,
                                    const HttpLimits& limits, SteadyTime deadline, bool may_reuse,
                                    HttpAttempt& attempt) {
  auto executor = co_await asio::this_coro::executor;
  const http_pool::OriginKey origin{&executor.context(), url.tls, url.host, url.port};
  auto idle = may_reuse ? pool->take_idle(origin) : nullptr;
  attempt.reused = idle != nullptr;
  if (!idle)
    if (const auto place = pool->take_place(origin); !place) co_return place.error();
  Lease lease(pool, origin);
  lease.connection = std::move(idle);
  if (attempt.reused) co_return std::move(lease);
  lease.connection = std::make_unique<http_pool::Connection>(executor, url.tls, pool->tls_context);
  const auto until = std::min(steady_now() + limits.connect, deadline);
  auto connected = co_await http_pool::connect(*lease.connection, url, until);
  if (!connected) co_return connected.error();
  co_return std::move(lease);
}

// What fails on the connection stands in the attempt: the server may have said why. The error is that of the source.
Task<error_code> send(const HttpRequest& request, std::string_view bytes, HttpStream::State& state,
                      HttpAttempt& attempt) {
  state.expire_after(state.limits.first_byte);
  auto [ec, written] = co_await state.lease.connection->write(bytes);
  attempt.written = written;
  attempt.ec = ec;
  error_code source_ec;
  if (ec || !request.source) co_return source_ec;
  attempt.pulled = true;
  const bool sent = co_await send_source(request, state, source_ec);
  if (!sent && !source_ec) state.expire_after(std::chrono::milliseconds(1000));
  co_return source_ec;
}

// Passes over interim answers.
Task<void> read_head(const HttpRequest& request, HttpStream::State& state, HttpAttempt& attempt) {
  auto& connection = *state.lease.connection;
  for (int interim = 0; interim <= interim_responses_max; ++interim) {
    auto& parser = state.parser.emplace();
    parser.header_limit(static_cast<std::uint32_t>(state.limits.header_bytes_max));
    parser.body_limit(state.limits.body_bytes_max);
    if (request.method == "HEAD") parser.skip(true);
    auto [ec, n] = co_await connection.read_header(parser);
    attempt.received += n;
    attempt.ec = ec;
    connection.ack_quickly();
    if (ec) co_return;
    const auto& header = parser.get();
    if (header.result_int() / 100 == 1) continue;
    state.head.status = header.result_int();
    for (const auto& field : header)
      state.head.headers.push_back({std::string(field.name_string()), std::string(field.value())});
    co_return;
  }
  attempt.ec = http::error::bad_status;
}

}  // namespace

Task<Result<HttpStream>> HttpClient::open(HttpRequest request, HttpLimits limits) {
  const auto deadline = steady_now() + limits.whole;
  const auto url = parse_http_url(request.url);
  if (!url) co_return url.error();
  const auto bytes = request_bytes(request, *url);
  if (!bytes) co_return bytes.error();
  for (bool may_reuse = true;; may_reuse = false) {
    HttpAttempt attempt;
    auto lease = co_await take_connection(pool_, *url, limits, deadline, may_reuse, attempt);
    if (!lease) co_return lease.error();
    auto state = std::make_unique<HttpStream::State>(std::move(*lease), limits, deadline);
    const auto source_ec = co_await send(request, *bytes, *state, attempt);
    if (source_ec) co_return source_ec;
    // A server may answer and close before it has read all: its answer counts, not our failed write.
    if (!attempt.ec || attempt.written > 0) co_await read_head(request, *state, attempt);
    if (!attempt.ec) co_return HttpStream(std::move(state));
    if (!may_send_again(attempt, request)) co_return plain(attempt.ec);
  }
}

Task<Result<HttpResponse>> HttpClient::request(HttpRequest request, HttpLimits limits) {
  auto stream = co_await open(std::move(request), limits);
  if (!stream) co_return stream.error();
  HttpResponse response{stream->head(), {}};
  for (;;) {
    auto piece = co_await stream->read_some();
    if (!piece) co_return piece.error();
    if (piece->empty()) co_return response;
    response.body += *piece;
  }
}

}  // namespace assay
