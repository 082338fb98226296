#pragma once
// What a front door can be told. Defaults and units stand here.
#include <chrono>

#include "ingest/http/admission.hpp"
#include "ingest/http/http_config.hpp"

namespace assay {

struct IngestConfig {
  HttpConfig http;
  AdmissionLimits admission;
  std::size_t trace_bytes_max = 4u << 20;             // body of MLflow's StartTraceV3
  std::size_t recent_ids_max = 16 * 1024;             // ids of traces that this door has just made
  std::chrono::milliseconds view_wait{2'000};         // for a view to have applied what was acknowledged
  std::chrono::milliseconds loop_silence_max{5'000};  // a loop that has not come round for longer is not alive
};

}  // namespace assay
