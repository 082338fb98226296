#pragma once
// How far a request came on one connection, and whether it may be sent once more on another. Pure.
#include "ops/runtime/http_client.hpp"

namespace assay {

struct HttpAttempt {
  bool reused = false;                    // the connection had been idle
  bool pulled = false;                    // the request's source was called
  std::size_t written = 0, received = 0;  // bytes
  error_code ec = {};                     // at which it ended
};

// See HttpClient: only what an idle connection that its server has closed looks like; a time-out may be a server at
// work.
bool may_send_again(const HttpAttempt& attempt, const HttpRequest& request);

}  // namespace assay
