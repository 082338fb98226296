#pragma once
// The bytes of one connection: a socket, or TLS over one. Has the socket's own operations under their own names, so
// that a session does not ask which it is; without TLS each costs one branch.
#include <poll.h>
#include <sys/socket.h>

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/bind_handler.hpp>
#include <cerrno>
#include <memory>
#include <string>

#include "ops/runtime/result.hpp"
#include "ops/runtime/task.hpp"

namespace assay {

using Socket = asio::basic_stream_socket<asio::ip::tcp, Executor>;
using TlsContext = std::shared_ptr<asio::ssl::context>;

// One read and one write at a time, as on a socket; not to be moved meanwhile.
class Wire {
 public:
  using executor_type = Socket::executor_type;
  static constexpr auto shutdown_send = Socket::shutdown_send;
  static constexpr auto shutdown_both = Socket::shutdown_both;

  // `context` null: plain.
  explicit Wire(Socket socket, const TlsContext& context = {}) : socket_(std::move(socket)) {
    if (context) tls_ = std::make_unique<Tls>(std::move(socket_), context);
  }

  bool is_tls() const { return tls_ != nullptr; }
  executor_type get_executor() { return socket().get_executor(); }
  Socket& socket() { return tls_ ? tls_->stream.next_layer() : socket_; }
  const Socket& socket() const { return tls_ ? tls_->stream.next_layer() : socket_; }
  // Null: plain.
  asio::ssl::stream<Socket>* tls_stream() { return tls_ ? &tls_->stream : nullptr; }

  // Only where is_tls().
  template <class Token>
  auto async_handshake(Token&& token) {
    return tls_->stream.async_handshake(asio::ssl::stream_base::server, std::forward<Token>(token));
  }
  // Tells the other end that nothing more follows, and waits until it says the same.
  template <class Token>
  auto async_shutdown(Token&& token) {
    return tls_->stream.async_shutdown(std::forward<Token>(token));
  }

  // What was read too far: the next reads give it first.
  void unread(std::string bytes) { unread_ = std::move(bytes); }

  template <class Buffers, class Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    auto initiate = [this](auto handler, const Buffers& into) {
      if (!unread_.empty()) {
        const auto n = asio::buffer_copy(into, asio::buffer(unread_));
        unread_.erase(0, n);
        asio::post(get_executor(),
                   boost::beast::bind_front_handler(std::move(handler), boost::system::error_code(), n));
      } else if (!tls_) [[likely]]
        socket_.async_read_some(into, std::move(handler));
      else
        tls_->stream.async_read_some(into, std::move(handler));
    };
    return asio::async_initiate<Token, void(boost::system::error_code, std::size_t)>(std::move(initiate), token,
                                                                                     buffers);
  }
  template <class Buffers, class Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    auto initiate = [this](auto handler, const Buffers& from) {
      if (!tls_) [[likely]]
        socket_.async_write_some(from, std::move(handler));
      else
        tls_->stream.async_write_some(from, std::move(handler));
    };
    return asio::async_initiate<Token, void(boost::system::error_code, std::size_t)>(std::move(initiate), token,
                                                                                     buffers);
  }
  // Without waiting. TLS has no such thing while bytes of it are under way: would_block, write it with a wait.
  template <class Buffers>
  std::size_t write_some(const Buffers& buffers, boost::system::error_code& ec) {
    if (!tls_) [[likely]]
      return socket_.write_some(buffers, ec);
    ec = asio::error::would_block;
    return 0;
  }
  // The last words of a connection whose handler still runs, with no other write under way: as much as goes now.
  template <class Buffers>
  void write_last(const Buffers& buffers) {
    boost::system::error_code ec;
    if (tls_)
      tls_->stream.write_some(buffers, ec);
    else
      socket_.write_some(buffers, ec);
  }

  // Whether the other end has closed its side. Does not wait, and takes no byte away.
  bool peer_closed() {
    if (!is_open()) return true;
    if (tls_) {  // what is there to read may be TLS's own good-bye: ask for the end of the connection behind it
      pollfd asked{native_handle(), POLLRDHUP, 0};
      return ::poll(&asked, 1, 0) > 0 && (asked.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
    }
    char byte;
    const auto n = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
  }

  asio::ip::tcp::endpoint remote_endpoint(boost::system::error_code& ec) const { return socket().remote_endpoint(ec); }
  Socket::native_handle_type native_handle() { return socket().native_handle(); }
  bool is_open() const { return socket().is_open(); }
  void cancel(boost::system::error_code& ec) { socket().cancel(ec); }
  void shutdown(Socket::shutdown_type what, boost::system::error_code& ec) { socket().shutdown(what, ec); }
  void close(boost::system::error_code& ec) { socket().close(ec); }

 private:
  struct Tls {
    Tls(Socket socket, TlsContext c) : context(std::move(c)), stream(std::move(socket), *context) {}
    TlsContext context;  // the one that it began with, however often it is replaced
    asio::ssl::stream<Socket> stream;
  };
  Socket socket_;  // moved from where there is TLS
  std::string unread_;
  std::unique_ptr<Tls> tls_;
};

}  // namespace assay
