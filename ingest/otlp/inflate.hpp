#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "ingest/otlp/otlp_request.hpp"

namespace assay {

// Asked before each piece whether there is memory for so many bytes more.
using HasRoom = std::function<bool(std::size_t)>;

// Undoes a Content-Encoding: gzip or deflate (with zlib's frame or without), up to `bytes_max`. Errors, in words: it is
// malformed, cut, too large, or of another coding; there is no room for it (503).
Result<std::string, OtlpProblem> inflated(std::string_view body, std::string_view coding, std::size_t bytes_max,
                                          const HasRoom& has_room);

}  // namespace assay
