#pragma once
#include <optional>
#include <string_view>

#include "ingest/otlp/otlp_span.hpp"

namespace assay {

// None: it is not an ExportTraceServiceRequest, or there is no room for it.
std::optional<std::vector<OtlpResource>> read_otlp_protobuf(std::string_view message, OtlpRoom& room);
std::optional<std::vector<OtlpResource>> read_otlp_json(std::string_view text, OtlpRoom& room);

}  // namespace assay
