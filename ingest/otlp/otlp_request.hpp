#pragma once
// An ExportTraceServiceRequest of OTLP, protobuf or JSON, turned into records: the spans of each trace as MLflow keeps
// them, and what they say of their trace (times, state, previews, tags), which gives way to what its client says
// itself. Pure.
#include <string>
#include <string_view>
#include <vector>

#include "ops/runtime/clock.hpp"
#include "ops/runtime/result.hpp"
#include "storage/records/trace_record.hpp"

namespace assay {

struct OtlpProblem {
  unsigned status;
  std::string detail;
};

struct OtlpExperiment {
  std::string_view id;
  std::string_view name = {};  // see experiment_name_key; empty: not said
};

struct OtlpLimits {
  std::size_t spans_max = 10'000;
  std::size_t parts_max = 1u << 17;  // events, links and resources: some 250 of each of the 512 spans of an SDK's batch
  std::size_t record_bytes_max = 512u << 10;  // of the spans in one record: a trace may need several
  std::size_t tag_bytes_max = 32u << 20;      // of all traces together: each keeps the attributes of its resource
};

// Traces in the order in which they first appear; a large one as several records.
Result<std::vector<TraceRecord>, OtlpProblem> parse_otlp(std::string_view protobuf, const OtlpExperiment& experiment,
                                                         Instant now, const OtlpLimits& limits = {});
Result<std::vector<TraceRecord>, OtlpProblem> parse_otlp_json(std::string_view json, const OtlpExperiment& experiment,
                                                              Instant now, const OtlpLimits& limits = {});

}  // namespace assay
