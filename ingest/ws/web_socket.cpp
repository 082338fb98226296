#include "ingest/ws/web_socket.hpp"

#include <array>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <limits>
#include <utility>

#include "ingest/ws/wire_teardown.hpp"
#include "ops/runtime/error.hpp"

namespace assay {

namespace ws = boost::beast::websocket;

namespace {

constexpr std::chrono::seconds linger_max{2};

// Closes the stream's socket then, unless the timer is cancelled or the stream is gone.
template <class Stream>
void close_after(const std::shared_ptr<Stream>& stream, Timer& timer, std::chrono::milliseconds limit) {
  timer.expires_after(limit);
  timer.async_wait([weak = std::weak_ptr(stream)](error_code ec) {
    error_code ignored;
    if (!ec)
      if (const auto late = weak.lock()) late->socket.next_layer().close(ignored);
  });
}

}  // namespace

struct WebSocket::Stream {
  Stream(TakenConnection c, WebSocketLimits l)
      : socket(std::move(c.socket)),
        stall(socket.get_executor()),
        last(socket.get_executor()),
        read(std::move(c.read)),
        draining(std::move(c.draining)),
        limits(l) {}
  ws::stream<Wire, false> socket;
  Timer stall, last;  // of a write; of what is read after the end
  std::string read;
  std::function<bool()> draining;
  boost::beast::flat_buffer message;
  WebSocketLimits limits;
  bool closing = false;
};

WebSocket::WebSocket(std::unique_ptr<TakenConnection> connection, WebSocketLimits limits)
    : stream_(std::make_shared<Stream>(std::move(*connection), limits)) {
  auto& socket = stream_->socket;
  socket.set_option(ws::stream_base::timeout{limits.handshake, limits.idle, true});
  socket.read_message_max(limits.message_bytes_max);
  socket.auto_fragment(false);
  // Where there is no Server, Beast adds its own name and version.
  socket.set_option(ws::stream_base::decorator(
      [](ws::response_type& response) { response.set(boost::beast::http::field::server, "assay"); }));
}

WebSocket::~WebSocket() = default;

Task<Result<void>> WebSocket::accept() {
  // Not left to Beast to read: it has room for a head of 1,536 bytes.
  boost::beast::http::request_parser<boost::beast::http::empty_body> parser;
  parser.header_limit(std::numeric_limits<std::uint32_t>::max());  // the session has held it to its own
  parser.body_limit(boost::none);
  error_code wrong;
  const auto head = asio::buffer(stream_->read);
  const auto used = parser.put(head, wrong);
  if (!wrong && !parser.is_header_done())
    wrong = boost::beast::http::make_error_code(boost::beast::http::error::partial_message);
  if (wrong) co_return wrong;
  stream_->socket.next_layer().unread(stream_->read.substr(used));
  stream_->read = {};
  const auto& request = parser.get();
  auto [ec] = co_await stream_->socket.async_accept(request, as_result);
  if (ec) co_return ec;
  co_return Result<void>();
}

Task<Result<WebSocket::Message>> WebSocket::read() {
  auto& s = *stream_;
  auto [ec, n] = co_await s.socket.async_read(s.message, as_result);
  if (ec) {
    co_await linger();
    co_return ec;
  }
  const auto data = s.message.cdata();
  Message message{std::string(static_cast<const char*>(data.data()), data.size()), s.socket.got_text()};
  s.message.consume(data.size());
  if (s.message.capacity() > 4096) s.message = {};
  co_return std::move(message);
}

// What the peer still sends is read, so that the close frame reaches it: see wire_teardown.hpp.
Task<void> WebSocket::linger() {
  auto& s = *stream_;
  if (s.socket.next_layer().is_tls()) co_return;
  close_after(stream_, s.last, linger_max);
  std::array<char, 4096> dropped;
  const auto into = asio::buffer(dropped);
  for (error_code ec; !ec;) std::tie(ec, std::ignore) = co_await s.socket.next_layer().async_read_some(into, as_result);
  s.last.cancel();
}

Task<Result<void>> WebSocket::write(std::string_view data, bool text) {
  auto& s = *stream_;
  s.socket.text(text);
  close_after(stream_, s.stall, s.limits.stall);
  const auto buffer = asio::buffer(data);
  auto [ec, n] = co_await s.socket.async_write(buffer, as_result);
  s.stall.cancel();
  if (ec) co_return ec;
  co_return Result<void>();
}

Task<void> WebSocket::close(Close code, std::string_view reason) {
  if (std::exchange(stream_->closing, true)) co_return;
  ws::close_reason why(static_cast<ws::close_code>(code), reason);
  auto [ec] = co_await stream_->socket.async_close(why, as_result);
  if (ec) cut();
}

void WebSocket::cut() {
  error_code ignored;
  stream_->socket.next_layer().close(ignored);
}

bool WebSocket::draining() const { return stream_->draining(); }

}  // namespace assay
