#pragma once
// A connection that stops speaking HTTP: what a session hands to a handler that goes on in another protocol.
#include <functional>
#include <string>

#include "ingest/http/wire.hpp"

namespace assay {

struct TakenConnection {
  Wire socket;
  std::string read;                // from the request's head on: what has come and nobody has answered
  std::function<bool()> draining;  // whether the front door wants connections to end; on the session's thread
};

}  // namespace assay
