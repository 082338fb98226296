#pragma once
// What Beast's WebSocket asks of the stream below it, beside reading and writing: to end it.
#include <boost/asio/post.hpp>
#include <boost/beast/core/bind_handler.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <boost/beast/websocket/teardown.hpp>

#include "ingest/http/wire.hpp"

namespace assay {

inline void teardown(boost::beast::role_type role, Wire& wire, boost::system::error_code& ec) {
  if (auto* tls = wire.tls_stream())
    boost::beast::teardown(role, *tls, ec);
  else
    boost::beast::websocket::teardown(role, wire.socket(), ec);
}

// Of a plain socket only our half is closed. Beast's own (up to 1.81, at least) closes it once it has read something,
// and where the peer is still sending that resets the connection and takes the close frame away from it: so
// WebSocket::read() reads on until the peer has closed.
template <class Handler>
void async_teardown(boost::beast::role_type role, Wire& wire, Handler&& handler) {
  if (auto* tls = wire.tls_stream()) {
    boost::beast::async_teardown(role, *tls, std::forward<Handler>(handler));
    return;
  }
  boost::system::error_code ec;
  wire.shutdown(Wire::shutdown_send, ec);
  boost::asio::post(boost::beast::bind_front_handler(std::forward<Handler>(handler), ec));
}

inline void beast_close_socket(Wire& wire) {
  boost::system::error_code ec;
  wire.close(ec);
}

}  // namespace assay
