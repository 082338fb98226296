#pragma once
// What a client would rather have (RFC 7240).
#include <chrono>
#include <optional>

#include "ingest/http/request.hpp"

namespace assay {

// How long it would wait: "Prefer: respond-async, wait=5", in one line or several; 10 seconds at most.
std::optional<std::chrono::seconds> preferred_wait(const Request& request);

}  // namespace assay
