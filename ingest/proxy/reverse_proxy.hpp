#pragma once
// The server behind this door: whatever the door does not answer itself is passed to it as it came, and its answer
// passed back, both piece by piece, so that the slower side sets the pace and memory is bounded.
//
// What changes on the way: the headers of one hop (Connection and what it names, Keep-Alive, TE, Trailer, Upgrade, …)
// stay on their hop; Via names this door; X-Forwarded-For, -Proto and -Host and Forwarded say where it came from, as
// far as this door knows it, whatever the client says; a Location there becomes one here. Which pages may ask is for
// this door's gate alone to say, and it has: an Origin that is this door's own becomes the server's own, as its
// cross-origin check expects, any other is not passed on, nor are the server's Access-Control headers passed back. A
// client's Authorization is passed on where this door has no keys of its own; ours is never lent to it.
//
// What only reads (GET, HEAD, MLflow's searches by POST) is sent once more, on a new connection, where an idle one was
// closed before any byte of the answer: a server may give it up in the moment in which it is used.
//
// A body that does not come, or is broken, is the client's fault: it is told so, and no failure of the server's is
// counted.
#include <functional>
#include <string>

#include "ingest/http/request.hpp"
#include "ingest/http/request_body.hpp"
#include "ingest/http/response_stream.hpp"
#include "ops/runtime/http_client.hpp"
#include "ops/runtime/metrics.hpp"

namespace assay {

struct ProxyConfig {
  std::string url = {};      // http(s)://HOST[:PORT], without a slash at the end; empty: there is none
  std::string ca_file = {};  // PEM, in addition to the system's
  std::function<bool()> keeps_authorization = {};  // whether it is for this door, and no business of that server's
  // Whose request it is, where a proxy that is trusted has brought it; empty: the peer's.
  std::function<boost::asio::ip::address(const Request&)> client_of = {};
  std::size_t body_bytes_max = std::size_t(4) << 30;
  std::size_t connections_max = 1024;  // to it, in use and idle
  // Its first byte may take what a search over millions of traces takes; a stream may be silent for a while.
  HttpLimits limits = {.connect = std::chrono::seconds(5),
                       .first_byte = std::chrono::seconds(120),
                       .between_reads = std::chrono::seconds(300),
                       .whole = std::chrono::hours(24),
                       .body_bytes_max = std::size_t(1) << 40};
};

// Thread-safe.
class ReverseProxy {
 public:
  ReverseProxy(ProxyConfig config, Metrics& metrics);

  Task<void> pass(Request& request, RequestBody& body, ResponseStream& answer);

 private:
  HttpRequest outgoing(const Request& request) const;
  Task<void> pass_back(HttpStream upstream, const Request& request, ResponseStream& answer);

  const ProxyConfig config_;
  std::string origin_;  // scheme, host and port of the server behind
  std::string path_;    // what its URL has behind them
  HttpClient http_;
  Counter &passed_total_, &failed_total_;
};

}  // namespace assay
