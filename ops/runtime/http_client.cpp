#include "ops/runtime/http_client.hpp"

#include <openssl/ssl.h>
#include <sys/socket.h>

#include <netinet/tcp.h>
#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/url.hpp>
#include <charconv>
#include <deque>
#include <map>
#include <mutex>
#include <optional>

namespace assay {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;
namespace ssl = asio::ssl;
using tcp = asio::ip::tcp;
using SteadyTime = std::chrono::steady_clock::time_point;
using TcpStream = beast::basic_stream<tcp, Executor>;
using TlsStream = ssl::stream<TcpStream&>;
using Timer =
    asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, Executor>;
using Resolver = asio::ip::basic_resolver<tcp, Executor>;
using Endpoints = std::vector<tcp::endpoint>;
using Moved = std::tuple<error_code, std::size_t>;

constexpr std::size_t piece_bytes = 16u << 10;
constexpr int interim_responses_max = 8;

SteadyTime steady_now() { return std::chrono::steady_clock::now(); }

error_code plain(error_code ec) {
  if (ec == beast::error::timeout) return Error::timed_out;
  if (ec == http::error::body_limit || ec == http::error::header_limit || ec == http::error::buffer_overflow)
    return Error::over_capacity;
  return ec;
}

bool same_name(std::string_view a, std::string_view b) { return beast::iequals(a, b); }

struct OriginKey {
  const void* context;
  bool tls;
  std::string host, port;
  auto operator<=>(const OriginKey&) const = default;
};

struct Connection {
  Connection(Executor executor, bool use_tls, ssl::context& context) : tcp_stream(executor) {
    if (use_tls) tls.emplace(tcp_stream, context);
  }

  Task<Moved> write(std::string_view bytes) {
    const auto buffer = asio::buffer(bytes.data(), bytes.size());
    return tls ? asio::async_write(*tls, buffer, as_result) : asio::async_write(tcp_stream, buffer, as_result);
  }
  template <class Parser>
  Task<Moved> read_header(Parser& parser) {
    return tls ? http::async_read_header(*tls, buffer, parser, as_result)
               : http::async_read_header(tcp_stream, buffer, parser, as_result);
  }
  template <class Parser>
  Task<Moved> read_some(Parser& parser) {
    return tls ? http::async_read_some(*tls, buffer, parser, as_result)
               : http::async_read_some(tcp_stream, buffer, parser, as_result);
  }
  // A server that sends its header and its body in two writes waits for our ACK in between (Nagle): 40 ms, unless
  // the kernel is told, anew after each read, not to delay it.
  void ack_quickly() {
    const int on = 1;
    ::setsockopt(tcp_stream.socket().native_handle(), IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
  }
  // An idle connection has nothing to say: readable means closed, or a server out of step.
  bool usable() {
    char byte;
    const auto n = ::recv(tcp_stream.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
  }

  TcpStream tcp_stream;
  std::optional<TlsStream> tls;
  beast::flat_buffer buffer;
  SteadyTime idle_since{};
};

}  // namespace

// Idle connections by origin and context, and how many there are.
struct HttpClient::Pool {
  explicit Pool(HttpClientConfig c) : config(std::move(c)), tls_context(ssl::context::tls_client) {
    SSL_CTX_set_min_proto_version(tls_context.native_handle(), TLS1_2_VERSION);
    tls_context.set_verify_mode(ssl::verify_peer);
    tls_context.set_default_verify_paths();
    if (!config.ca_file.empty()) tls_context.load_verify_file(config.ca_file);
    static constexpr unsigned char protocols[] = "\x08http/1.1";
    SSL_CTX_set_alpn_protos(tls_context.native_handle(), protocols, sizeof protocols - 1);
  }

  // A place among connections_max; free again when the lease dies.
  Result<void> take_place(const OriginKey& origin) {
    const std::lock_guard lock(mutex);
    auto& n = open[place(origin)];
    if (n >= config.connections_max) return Error::over_capacity;
    ++n;
    return {};
  }
  void free_place(const OriginKey& origin) {
    const std::lock_guard lock(mutex);
    const auto at = open.find(place(origin));
    if (--at->second == 0) open.erase(at);
  }
  // The latest that still looks alive, with its place.
  std::unique_ptr<Connection> take_idle(const OriginKey& origin) {
    for (;;) {
      std::unique_ptr<Connection> connection;
      {
        const std::lock_guard lock(mutex);
        drop_old(origin.context);
        const auto at = idle.find(origin);
        if (at == idle.end()) return nullptr;
        connection = std::move(at->second.back());
        at->second.pop_back();
        if (at->second.empty()) idle.erase(at);
      }
      if (connection->usable()) return connection;
      connection.reset();
      free_place(origin);
    }
  }
  void put_idle(const OriginKey& origin, std::unique_ptr<Connection> connection) {
    connection->idle_since = steady_now();
    const std::lock_guard lock(mutex);
    drop_old(origin.context);
    auto& list = idle[origin];
    list.push_back(std::move(connection));
    if (list.size() <= (closed ? 0 : config.idle_max)) return;
    list.pop_front();
    const auto n = open.find(place(origin));
    if (--n->second == 0) open.erase(n);
    if (list.empty()) idle.erase(origin);
  }
  // Closes the idle ones; from now on none is kept.
  void close() {
    const std::lock_guard lock(mutex);
    closed = true;
    for (const auto& [origin, list] : idle) {
      const auto n = open.find(place(origin));
      if ((n->second -= list.size()) == 0) open.erase(n);
    }
    idle.clear();
  }
  std::size_t count() const {
    const std::lock_guard lock(mutex);
    std::size_t n = 0;
    for (const auto& [origin, connections] : open) n += connections;
    return n;
  }

  HttpClientConfig config;
  ssl::context tls_context;

 private:
  // Places are counted over all contexts.
  static OriginKey place(OriginKey origin) {
    origin.context = nullptr;
    return origin;
  }
  // Only of the caller's context: a socket is closed where it lives.
  void drop_old(const void* context) {
    const auto oldest = steady_now() - config.idle_time;
    for (auto at = idle.lower_bound(OriginKey{context, false, "", ""});
         at != idle.end() && at->first.context == context;) {
      auto& list = at->second;
      while (!list.empty() && list.front()->idle_since < oldest) {
        list.pop_front();
        const auto n = open.find(place(at->first));
        if (--n->second == 0) open.erase(n);
      }
      at = list.empty() ? idle.erase(at) : std::next(at);
    }
  }

  mutable std::mutex mutex;
  std::map<OriginKey, std::deque<std::unique_ptr<Connection>>> idle;
  std::map<OriginKey, std::size_t> open;  // in use and idle
  bool closed = false;
};

namespace {

// A connection with its place in the pool's count: both go back when it dies.
class Lease {
 public:
  Lease(std::shared_ptr<HttpClient::Pool> pool, OriginKey origin)
      : pool_(std::move(pool)), origin_(std::move(origin)) {}
  Lease(Lease&& other) noexcept
      : pool_(std::move(other.pool_)), origin_(std::move(other.origin_)), connection(std::move(other.connection)) {}
  ~Lease() {
    if (!pool_) return;
    connection.reset();
    pool_->free_place(origin_);
  }
  void keep() {
    pool_->put_idle(origin_, std::move(connection));
    pool_.reset();
  }

 private:
  std::shared_ptr<HttpClient::Pool> pool_;
  OriginKey origin_;

 public:
  std::unique_ptr<Connection> connection;
};

// getaddrinfo runs on a thread of Asio's and can't be stopped: after `until` nobody waits for it any more.
Task<Result<Endpoints>> resolve(Executor executor, std::string host, std::string port, SteadyTime until) {
  error_code no_address;
  const auto address = asio::ip::make_address(host, no_address);
  if (!no_address) {
    Endpoints one;
    one.emplace_back(address, static_cast<unsigned short>(std::atoi(port.c_str())));
    co_return one;
  }
  struct Lookup {
    explicit Lookup(Executor e) : resolver(e), timer(e) {}
    Resolver resolver;
    Timer timer;
    std::optional<Result<Endpoints>> answer;
  };
  auto lookup = std::make_shared<Lookup>(executor);
  lookup->timer.expires_at(until);
  auto on_answer = [lookup](error_code ec, Resolver::results_type results) {
    if (ec) {
      lookup->answer = ec;
    } else {
      Endpoints found;
      for (const auto& entry : results) found.push_back(entry.endpoint());
      lookup->answer = std::move(found);
    }
    lookup->timer.cancel();
  };
  lookup->resolver.async_resolve(host, port, on_answer);
  if (!lookup->answer) co_await lookup->timer.async_wait(as_result);
  if (!lookup->answer) {
    lookup->resolver.cancel();
    co_return Error::timed_out;
  }
  co_return std::move(*lookup->answer);
}

Task<Result<void>> connect(Connection& connection, const HttpUrl& url, SteadyTime until) {
  auto executor = co_await asio::this_coro::executor;
  auto endpoints = co_await resolve(executor, url.host, url.port, until);
  if (!endpoints) co_return endpoints.error();
  connection.tcp_stream.expires_at(until);
  auto [ec, endpoint] = co_await connection.tcp_stream.async_connect(*endpoints, as_result);
  if (ec) co_return plain(ec);
  error_code ignored;
  connection.tcp_stream.socket().set_option(tcp::no_delay(true), ignored);
  if (!connection.tls) co_return Result<void>();

  asio::ip::make_address(url.host, ec);
  const bool is_name = static_cast<bool>(ec);
  if (is_name && SSL_set_tlsext_host_name(connection.tls->native_handle(), url.host.c_str()) != 1)
    co_return error_code(boost::system::errc::make_error_code(boost::system::errc::invalid_argument));
  connection.tls->set_verify_callback(ssl::host_name_verification(url.host), ec);
  if (ec) co_return ec;
  auto [tls_ec] = co_await connection.tls->async_handshake(TlsStream::client, as_result);
  if (tls_ec) co_return plain(tls_ec);
  co_return Result<void>();
}

bool repeatable(const HttpRequest& request) {
  for (const auto* method : {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
    if (request.method == method) return true;
  return request.repeatable;
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) || std::string_view("!#$%&'*+-.^_`|~").find(static_cast<char>(c)) != std::string_view::npos;
  });
}
bool is_field_value(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; });
}

// Header and body in one piece, so that they go out in one write.
Result<std::string> request_bytes(const HttpRequest& request, const HttpUrl& url) {
  const auto invalid = boost::system::errc::make_error_code(boost::system::errc::invalid_argument);
  if (!is_token(request.method)) return invalid;
  std::string out;
  out.reserve(512 + request.body.size());
  out.append(request.method).append(" ").append(url.target).append(" HTTP/1.1\r\nHost: ");
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

Result<HttpUrl> parse_http_url(std::string_view text) {
  const auto invalid = boost::system::errc::make_error_code(boost::system::errc::invalid_argument);
  const auto parsed = boost::urls::parse_uri(text);
  if (!parsed) return invalid;
  HttpUrl url{.tls = parsed->scheme_id() == boost::urls::scheme::https};
  if (!url.tls && parsed->scheme_id() != boost::urls::scheme::http) return invalid;
  if (parsed->has_userinfo() || parsed->encoded_host().empty()) return invalid;
  url.host = parsed->host_address();
  if (!is_field_value(url.host) || url.host.find(' ') != std::string::npos) return invalid;  // decoded: %0d%0a
  url.port = url.tls ? "443" : "80";
  if (const std::string_view port = parsed->port(); !port.empty()) {
    std::uint16_t number = 0;
    const auto [end, ec] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (ec != std::errc() || end != port.data() + port.size() || number == 0) return invalid;
    url.port = std::to_string(number);
  }
  const auto path = parsed->encoded_path();
  url.target = path.empty() ? "/" : std::string(path);
  if (parsed->has_query()) url.target.append("?").append(parsed->encoded_query());
  return url;
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
    if (!piece) ec = piece.error();
    if (!piece) co_return false;
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

}  // namespace

Task<Result<HttpStream>> HttpClient::open(HttpRequest request, HttpLimits limits) {
  const auto deadline = steady_now() + limits.whole;
  const auto url = parse_http_url(request.url);
  if (!url) co_return url.error();
  const auto bytes = request_bytes(request, *url);
  if (!bytes) co_return bytes.error();
  auto executor = co_await asio::this_coro::executor;
  const OriginKey origin{&executor.context(), url->tls, url->host, url->port};

  for (bool may_reuse = true;; may_reuse = false) {
    auto idle = may_reuse ? pool_->take_idle(origin) : nullptr;
    const bool reused = idle != nullptr;
    if (!reused)
      if (const auto place = pool_->take_place(origin); !place) co_return place.error();
    Lease lease(pool_, origin);
    lease.connection = std::move(idle);
    if (!reused) {
      lease.connection = std::make_unique<Connection>(executor, url->tls, pool_->tls_context);
      const auto until = std::min(steady_now() + limits.connect, deadline);
      auto connected = co_await connect(*lease.connection, *url, until);
      if (!connected) co_return connected.error();
    }

    auto state = std::make_unique<HttpStream::State>(std::move(lease), limits, deadline);
    auto& connection = *state->lease.connection;
    state->expire_after(limits.first_byte);
    auto [write_ec, written] = co_await connection.write(*bytes);
    error_code ec = write_ec;
    std::size_t received = 0;
    bool pulled = false;
    if (request.source && !ec) {
      pulled = true;
      error_code source_ec;
      const bool sent = co_await send_source(request, *state, source_ec);
      if (source_ec) co_return source_ec;
      if (!sent) state->expire_after(std::chrono::milliseconds(1000));  // it may have said why
    }
    // A server may answer and close before it has read all: its answer counts, not our failed write.
    for (int interim = 0; (!ec || written > 0) && interim <= interim_responses_max; ++interim) {
      state->parser.emplace();
      state->parser->header_limit(static_cast<std::uint32_t>(limits.header_bytes_max));
      state->parser->body_limit(limits.body_bytes_max);
      if (request.method == "HEAD") state->parser->skip(true);
      auto [read_ec, n] = co_await connection.read_header(*state->parser);
      received += n;
      connection.ack_quickly();
      ec = read_ec;
      if (ec || state->parser->get().result_int() / 100 != 1) break;
      ec = http::error::bad_status;  // only if it goes on like that
    }
    if (!ec) {
      const auto& header = state->parser->get();
      state->head.status = header.result_int();
      for (const auto& field : header)
        state->head.headers.push_back({std::string(field.name_string()), std::string(field.value())});
      co_return HttpStream(std::move(state));
    }
    // Only what an idle connection, closed by its server, looks like; a time-out may be a server at work.
    const bool closed = ec == http::error::end_of_stream || ec == asio::error::eof ||
                        ec == asio::error::connection_reset || ec == asio::error::broken_pipe ||
                        ec == ssl::error::stream_truncated;
    const bool again = reused && closed && received == 0 && !pulled && (written == 0 || repeatable(request));
    if (!again) co_return plain(ec);
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
