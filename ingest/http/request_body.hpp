#pragma once
// A request's body as it comes, for a handler that passes it on: what it does not ask for stays with the client.
#include <cstdint>
#include <optional>
#include <string_view>

#include "ops/runtime/result.hpp"
#include "ops/runtime/task.hpp"

namespace assay {

class RequestBody {
 public:
  virtual ~RequestBody() = default;
  // Its length, where the client has said it; none: it comes in chunks.
  virtual std::optional<std::uint64_t> length() const = 0;
  // The next piece, valid until the next call; empty: its end. Error::timed_out when the client sent nothing for the
  // body limit, errc::message_size when it sent more than its route takes, another error when it is gone or its framing
  // is broken.
  virtual Task<Result<std::string_view>> read_some() = 0;
};

}  // namespace assay
