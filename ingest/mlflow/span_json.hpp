#pragma once
// A span as it is kept (MLflow's traces.json) turned into what traces/get answers: OTLP's message as JSON, names in
// snake case. Pure.
#include <string>
#include <string_view>

namespace assay {

// `list`: a JSON list of kept spans, root first, then by their start. Malformed ones are left out.
std::string proto_spans(std::string_view list, std::size_t& count);

}  // namespace assay
