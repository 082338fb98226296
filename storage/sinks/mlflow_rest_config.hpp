#pragma once
// How a sink writes to an MLflow server by REST.
#include <chrono>
#include <cstddef>

#include "storage/sinks/mlflow_client.hpp"
#include "storage/sinks/mlflow_spans.hpp"

namespace assay {

struct MlflowSinkConfig {
  MlflowConfig mlflow;
  std::size_t requests_max = 64;     // in flight; how many it is adapts below that
  std::size_t records_max = 20'000;  // kept of traces, and of assessments: what waits, and one batch over it
  std::size_t bytes_max = 64 << 20;  // the same
  std::chrono::milliseconds full_after{30'000};  // an assessment has waited, before it makes room for others
  std::chrono::milliseconds wait_max = std::chrono::hours(24);
  std::chrono::milliseconds retry_first{1'000}, retry_max{60'000};  // of what waits
  std::chrono::milliseconds retries_for{250};                       // at once; three times that is for what is new
  std::size_t retries_at_once = 4;                                  // in flight
  bool tag_traces = true;                                           // keep the tag assay.feedback
  // What is remembered of a trace, after the last of it: as long as a late record may still come.
  std::chrono::milliseconds marks_max = std::chrono::hours(30 * 24);
  // Of a record at which MLflow breaks: it waits alone, and is given up after so many times and so long.
  int breaks_max = 5;
  std::chrono::milliseconds break_max{30'000};
  // Of a record that MLflow does not answer: when it waits alone. With more new ones in one turn it is MLflow's
  // trouble; no more of those that wait are tried again in one.
  std::chrono::milliseconds unanswered_after{5'000};
  std::size_t unanswered_max = 16;
  MlflowSpansLimits spans;
};

}  // namespace assay
