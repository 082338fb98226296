#pragma once
// Behind HttpClient: its connections, and the pool that keeps the idle ones. For http_*.cpp alone: it pulls in Beast.
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <deque>
#include <map>
#include <mutex>
#include <optional>

#include "ops/runtime/http_client.hpp"

namespace assay::http_pool {

namespace beast = boost::beast;
namespace http = beast::http;
namespace ssl = asio::ssl;
using tcp = asio::ip::tcp;
using SteadyTime = std::chrono::steady_clock::time_point;
using TcpStream = beast::basic_stream<tcp, Executor>;
using TlsStream = ssl::stream<TcpStream&>;
using Moved = std::tuple<error_code, std::size_t>;

inline SteadyTime steady_now() { return std::chrono::steady_clock::now(); }

// What a caller is told of it.
error_code plain(error_code ec);

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

// Opens the connection: name, TCP and, where the URL says so, TLS with the host's name checked.
Task<Result<void>> connect(Connection& connection, const HttpUrl& url, SteadyTime until);

}  // namespace assay::http_pool

namespace assay {

// Idle connections by origin and context, and how many there are. Thread-safe.
struct HttpClient::Pool {
  using Connection = http_pool::Connection;
  using OriginKey = http_pool::OriginKey;

  explicit Pool(HttpClientConfig config);
  // A place among connections_max; free again when the lease dies.
  Result<void> take_place(const OriginKey& origin);
  void free_place(const OriginKey& origin);
  // The latest that still looks alive, with its place.
  std::unique_ptr<Connection> take_idle(const OriginKey& origin);
  void put_idle(const OriginKey& origin, std::unique_ptr<Connection> connection);
  // Closes the idle ones; from now on none is kept.
  void close();
  std::size_t count() const;

  HttpClientConfig config;
  http_pool::ssl::context tls_context;

 private:
  void drop_old(const void* context);

  mutable std::mutex mutex;
  std::map<OriginKey, std::deque<std::unique_ptr<Connection>>> idle;
  std::map<OriginKey, std::size_t> open;  // in use and idle
  bool closed = false;
};

namespace http_pool {

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

}  // namespace http_pool
}  // namespace assay
