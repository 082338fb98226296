#pragma once
// What Beast's WebSocket asks of the stream below it, beside reading and writing: to end it.
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

template <class Handler>
void async_teardown(boost::beast::role_type role, Wire& wire, Handler&& handler) {
  if (auto* tls = wire.tls_stream())
    boost::beast::async_teardown(role, *tls, std::forward<Handler>(handler));
  else
    boost::beast::websocket::async_teardown(role, wire.socket(), std::forward<Handler>(handler));
}

inline void beast_close_socket(Wire& wire) {
  boost::system::error_code ec;
  wire.close(ec);
}

}  // namespace assay
