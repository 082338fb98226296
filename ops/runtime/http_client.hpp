#pragma once
// An HTTP/1.1 client for the servers that we depend on: a model, an MLflow. Plain and TLS, connections kept alive.
//
// Thread-safe: one client serves every thread. A connection stays with the io_context that it was opened on, so each
// context has its own idle ones; destroy the client before any context that has called it.
// Every wait has an end and every input a bound (HttpLimits). Cancelling a task (terminal) closes its connection.
//
// What a peer can do wrong comes back as an error_code: Error::timed_out (any of the limits), Error::over_capacity
// (connections_max in use), message_size (a header or body over its bound), else what Asio, OpenSSL or Beast said. A
// status is not an error: 500 is a response.
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ops/runtime/error.hpp"
#include "ops/runtime/result.hpp"
#include "ops/runtime/task.hpp"

namespace assay {

struct HttpHeader {
  std::string name, value;
};

// An absolute http:// or https:// URL, taken apart.
struct HttpUrl {
  bool tls = false;
  std::string host;    // without brackets, decoded
  std::string port;    // always filled: 80, 443 or what the URL says
  std::string target;  // path and query, at least "/"
};
// Refuses (invalid_argument) other schemes, an empty host, and a user or password in the URL: secrets don't belong
// there.
Result<HttpUrl> parse_http_url(std::string_view url);

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  // In place of the URL's path and query: sent as it stands, whatever a URL may hold. No blanks, no control characters.
  std::string target = {};
  std::vector<HttpHeader> headers = {};  // Host, Content-Length and Connection are the client's own
  std::string body = {};
  // In place of `body`: called for piece after piece until an empty one; an error from it ends the request. What is not
  // taken by the server is not asked for. Once it was called the request is never sent again.
  std::function<Task<Result<std::string_view>>()> source = {};
  std::optional<std::uint64_t> source_bytes = {};  // all its pieces together; none: they go out in chunks
  std::string host = {};                           // the header Host, where it is not the URL's
  // Whether the server may be asked twice. GET, HEAD, PUT, DELETE and OPTIONS always may. See HttpClient.
  bool repeatable = false;
};

struct HttpLimits {
  std::chrono::milliseconds connect{5'000};         // name, TCP and TLS together
  std::chrono::milliseconds first_byte{60'000};     // request written → response's header read
  std::chrono::milliseconds between_reads{30'000};  // of the body
  std::chrono::milliseconds whole{120'000};         // from the call to the last byte of the body
  std::size_t header_bytes_max = 64u << 10;
  std::size_t body_bytes_max = 16u << 20;
};

// Status and header of a response.
struct HttpHead {
  unsigned status = 0;
  std::vector<HttpHeader> headers = {};
  // The value of the first header of that name (any case), or "".
  std::string_view header(std::string_view name) const;
};

struct HttpResponse : HttpHead {
  std::string body;
};

struct HttpClientConfig {
  std::string ca_file = {};            // PEM, in addition to the system's
  std::size_t connections_max = 1024;  // to one origin, in use and idle; over it a call fails at once
  std::size_t idle_max = 32;           // kept for one origin on one io_context
  // Less than a server's own: uvicorn (MLflow, vLLM) closes after 5 s.
  std::chrono::milliseconds idle_time{4'000};
};

// A response whose body is pulled piece by piece: what isn't read isn't asked of the server, so a slow reader slows
// it. Destroying it before the end closes the connection, which is how an answer is aborted. One task at a time.
// Lives no longer than its client.
class HttpStream {
 public:
  HttpStream(HttpStream&&) noexcept;
  HttpStream& operator=(HttpStream&&) noexcept;
  ~HttpStream();

  const HttpHead& head() const;
  // The next piece of the body as soon as there is one; empty: its end (the connection is kept for the next request).
  Task<Result<std::string>> read_some();
  // For a reader that needs no more: keeps the connection if the body ends within `patience`, else closes it.
  Task<void> finish(std::chrono::milliseconds patience);

  struct State;

 private:
  friend class HttpClient;
  explicit HttpStream(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// A request goes out on an idle connection if there is one. The server may have closed it meanwhile; then the request
// is sent once more, on a new connection, if not one byte of a response has come and either nothing was sent or the
// request is repeatable. In every other case the failure is the caller's to judge: the server may have acted.
class HttpClient {
 public:
  // Throws system_error where ca_file can't be read: a start-up fault.
  explicit HttpClient(HttpClientConfig config = {});
  ~HttpClient();

  // The whole response.
  Task<Result<HttpResponse>> request(HttpRequest request, HttpLimits limits = {});
  // The response once its header is there.
  Task<Result<HttpStream>> open(HttpRequest request, HttpLimits limits = {});

  // Connections in use and idle, to all origins.
  std::size_t connections() const;

  struct Pool;

 private:
  std::shared_ptr<Pool> pool_;  // with the requests that are under way
};

}  // namespace assay
