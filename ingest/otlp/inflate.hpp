#pragma once
#include <string>
#include <string_view>

#include "ingest/otlp/otlp_request.hpp"

namespace assay {

// Undoes a Content-Encoding: gzip or deflate (with zlib's frame or without), up to `bytes_max`. Errors, in words: it is
// malformed, cut, too large, or of another coding.
Result<std::string, OtlpProblem> inflated(std::string_view body, std::string_view coding, std::size_t bytes_max);

}  // namespace assay
