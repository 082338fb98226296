#pragma once
#include "ingest/http/request.hpp"
#include "ingest/http/response.hpp"

namespace assay {

// What RFC 6455 (4.2.1) asks of a handshake: status 200, or the refusal of one that falls short of it. Beast would
// refuse most of that by itself, in words of its own.
Response handshake_refusal(const Request& request);

}  // namespace assay
