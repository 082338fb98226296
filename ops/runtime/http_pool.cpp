#include "ops/runtime/http_pool.hpp"

#include <boost/asio/connect.hpp>

#include "ops/runtime/name_lookup.hpp"

namespace assay {
namespace http_pool {

error_code plain(error_code ec) {
  if (ec == beast::error::timeout) return Error::timed_out;
  if (ec == http::error::body_limit || ec == http::error::header_limit || ec == http::error::buffer_overflow)
    return boost::system::errc::make_error_code(boost::system::errc::message_size);
  return ec;
}

Task<Result<void>> connect(Connection& connection, const HttpUrl& url, SteadyTime until) {
  auto endpoints = co_await NameLookup::system().find(url.host, url.port, until);
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

}  // namespace http_pool

namespace {

using http_pool::Connection;
using http_pool::OriginKey;
using http_pool::steady_now;

// Places are counted over all contexts.
OriginKey place(OriginKey origin) {
  origin.context = nullptr;
  return origin;
}

}  // namespace

HttpClient::Pool::Pool(HttpClientConfig c) : config(std::move(c)), tls_context(http_pool::ssl::context::tls_client) {
  SSL_CTX_set_min_proto_version(tls_context.native_handle(), TLS1_2_VERSION);
  tls_context.set_verify_mode(http_pool::ssl::verify_peer);
  tls_context.set_default_verify_paths();
  if (!config.ca_file.empty()) tls_context.load_verify_file(config.ca_file);
  static constexpr unsigned char protocols[] = "\x08http/1.1";
  SSL_CTX_set_alpn_protos(tls_context.native_handle(), protocols, sizeof protocols - 1);
}

Result<void> HttpClient::Pool::take_place(const OriginKey& origin) {
  const std::lock_guard lock(mutex);
  auto& n = open[place(origin)];
  if (n >= config.connections_max) return Error::over_capacity;
  ++n;
  return {};
}

void HttpClient::Pool::free_place(const OriginKey& origin) {
  const std::lock_guard lock(mutex);
  const auto at = open.find(place(origin));
  if (--at->second == 0) open.erase(at);
}

std::unique_ptr<Connection> HttpClient::Pool::take_idle(const OriginKey& origin) {
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

void HttpClient::Pool::put_idle(const OriginKey& origin, std::unique_ptr<Connection> connection) {
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

void HttpClient::Pool::close() {
  const std::lock_guard lock(mutex);
  closed = true;
  for (const auto& [origin, list] : idle) {
    const auto n = open.find(place(origin));
    if ((n->second -= list.size()) == 0) open.erase(n);
  }
  idle.clear();
}

std::size_t HttpClient::Pool::count() const {
  const std::lock_guard lock(mutex);
  std::size_t n = 0;
  for (const auto& [origin, connections] : open) n += connections;
  return n;
}

// Only of the caller's context: a socket is closed where it lives.
void HttpClient::Pool::drop_old(const void* context) {
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

}  // namespace assay
