#pragma once
#include <optional>
#include <string_view>

#include "ingest/otlp/otlp_span.hpp"

namespace assay {

// None: it is not an ExportTraceServiceRequest.
std::optional<std::vector<OtlpResource>> read_otlp_protobuf(std::string_view message, std::size_t spans_max);
std::optional<std::vector<OtlpResource>> read_otlp_json(std::string_view text, std::size_t spans_max);

}  // namespace assay
