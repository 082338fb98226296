#pragma once
// What every Prometheus client tells of its process, under the names that they all use: process_cpu_seconds_total,
// process_resident_memory_bytes, process_start_time_seconds, process_open_fds, process_max_fds, process_threads; and
// assay_build_info, whose label is the version. Read from /proc at each exposition.
#include "ops/runtime/metrics.hpp"

namespace assay {

void add_process_metrics(Metrics& metrics);

}  // namespace assay
