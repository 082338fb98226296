#pragma once
// An answer that is written while it is made: server-sent events, large reads. The seam between a streaming handler and
// the connection; tests collect what is written.
//
// Use: either respond() once, or begin(), write()…, end(). One call at a time, from the session's own thread. After an
// error the client is gone, or too slow: stop. A handler that returns without end() cuts the connection, so that the
// client does not take a part for the whole.
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "ingest/http/response.hpp"
#include "ingest/http/taken_connection.hpp"
#include "ops/runtime/result.hpp"
#include "ops/runtime/task.hpp"

namespace assay {

class ResponseStream {
 public:
  using Headers = std::span<const std::pair<std::string_view, std::string>>;

  virtual ~ResponseStream() = default;

  // A complete answer instead of a stream: a refusal, say. Only before begin().
  virtual Task<Result<void>> respond(Response response) = 0;

  // Writes the head. `content_type` and `headers` need to live only until it returns. The session adds Date and
  // Connection (keep-alive, or close while draining) and the framing.
  virtual Task<Result<void>> begin(unsigned status, std::string_view content_type, Headers headers) = 0;

  // The same for a body whose length is known before it is written; all of it must be.
  virtual Task<Result<void>> begin_sized(unsigned status, Headers headers, std::uint64_t length) {
    static_cast<void>(length);
    return begin(status, {}, headers);
  }

  // Returns when the socket has taken all of `bytes`: whoever waits for it produces no faster than the client reads.
  // Error::timed_out when the client took nothing for the write limit. An empty chunk writes nothing. `bytes` must live
  // until it returns.
  virtual Task<Result<void>> write(std::string_view bytes) = 0;

  // From now on a write fails where the client takes nothing for `limit`, and the kernel holds little that is unsent:
  // who reads slowly is noticed. After begin().
  virtual void expect_reader(std::chrono::milliseconds limit) = 0;

  // Ends the stream so that the client knows it is complete.
  virtual Task<Result<void>> end() = 0;

  // Takes the connection out of HTTP's hands (an upgrade), once, instead of respond() and begin(). The session ends
  // when the handler does. Null where there is no connection of that kind.
  virtual std::unique_ptr<TakenConnection> take_over() = 0;

  // Whether the client has closed its side, or the front door wants streams to end: to be asked while there is nothing
  // to write. Does not wait.
  virtual bool gone() = 0;
};

}  // namespace assay
