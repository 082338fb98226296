#include "ingest/ws/web_socket.hpp"

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket/stream.hpp>

#include "ingest/ws/wire_teardown.hpp"
#include "ops/runtime/error.hpp"

namespace assay {

namespace ws = boost::beast::websocket;

struct WebSocket::Stream {
  Stream(TakenConnection c, WebSocketLimits l)
      : socket(std::move(c.socket)),
        stall(socket.get_executor()),
        read(std::move(c.read)),
        draining(std::move(c.draining)),
        limits(l) {}
  ws::stream<Wire, false> socket;
  asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, Executor> stall;
  std::string read;
  std::function<bool()> draining;
  boost::beast::flat_buffer message;
  WebSocketLimits limits;
};

WebSocket::WebSocket(std::unique_ptr<TakenConnection> connection, WebSocketLimits limits)
    : stream_(std::make_shared<Stream>(std::move(*connection), limits)) {
  auto& socket = stream_->socket;
  socket.set_option(ws::stream_base::timeout{limits.handshake, limits.idle, true});
  socket.read_message_max(limits.message_bytes_max);
  socket.auto_fragment(false);
}

WebSocket::~WebSocket() = default;

Task<Result<void>> WebSocket::accept() {
  const auto head = asio::buffer(stream_->read);
  auto [ec] = co_await stream_->socket.async_accept(head, as_result);
  stream_->read = {};
  if (ec) co_return ec;
  co_return Result<void>();
}

Task<Result<WebSocket::Message>> WebSocket::read() {
  auto& s = *stream_;
  auto [ec, n] = co_await s.socket.async_read(s.message, as_result);
  if (ec) co_return ec;
  const auto data = s.message.cdata();
  Message message{std::string(static_cast<const char*>(data.data()), data.size()), s.socket.got_text()};
  s.message.consume(data.size());
  if (s.message.capacity() > 4096) s.message = {};
  co_return std::move(message);
}

Task<Result<void>> WebSocket::write(std::string_view data, bool text) {
  auto& s = *stream_;
  s.socket.text(text);
  s.stall.expires_after(s.limits.stall);
  s.stall.async_wait([weak = std::weak_ptr(stream_)](error_code ec) {
    error_code ignored;
    if (!ec)
      if (const auto late = weak.lock()) late->socket.next_layer().close(ignored);
  });
  const auto buffer = asio::buffer(data);
  auto [ec, n] = co_await s.socket.async_write(buffer, as_result);
  s.stall.cancel();
  if (ec) co_return ec;
  co_return Result<void>();
}

Task<void> WebSocket::close(Close code, std::string_view reason) {
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
