#pragma once
// The spans of a trace as MLflow takes them by OTLP (POST /v1/traces), made of what is kept: MLflow's own JSON of them.
// Pure.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace assay::mlflow {

// 16 bytes; none: MLflow would give its spans to a trace of another id.
std::optional<std::string> otlp_trace_id(std::string_view trace_id);

struct OtlpSpan {
  std::string field;  // of the message that holds them; one after the other
  std::int64_t start_ms = 0, end_ms = 0;
};
// None: it can't be read, or its id is none. The trace's id is that given, whatever the span says. An attribute is JSON
// in a text: it is sent as the value that it is, of which MLflow makes such a text again.
std::optional<OtlpSpan> otlp_span(std::string_view json, std::string_view otlp_trace_id);

// The request, of those fields.
std::string otlp_request(std::string_view fields);

}  // namespace assay::mlflow
