#pragma once
// A connection that stops speaking HTTP: what a session hands to a handler that goes on in another protocol.
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <string>

#include "ops/runtime/task.hpp"

namespace assay {

using Socket = asio::basic_stream_socket<asio::ip::tcp, Executor>;

struct TakenConnection {
  Socket socket;
  std::string read;                // from the request's head on: what has come and nobody has answered
  std::function<bool()> draining;  // whether the front door wants connections to end; on the session's thread
};

}  // namespace assay
