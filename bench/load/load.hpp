#pragma once
// The load generator: an open loop. Each request has the time at which it should go out; its latency counts from then,
// so a server that stalls is charged for everybody who would have come meanwhile, not only for who was in line.
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "bench/load/histogram.hpp"
#include "ops/runtime/result.hpp"

namespace assay::load {

struct LoadConfig {
  std::string host = "127.0.0.1";
  std::uint16_t port = 8080;
  int connections = 64;
  double rate = 0;  // requests a second over all connections; 0: as fast as answers come (closed loop)
  std::chrono::seconds duration{10};
  std::uint64_t requests_max = 0;      // 0: no bound but the duration
  std::uint64_t traces = 10'000;       // traces that the feedbacks are about
  bool make_traces = true;             // send them first (POST /api/3.0/mlflow/traces)
  std::string run = "load";            // names this run's ids; the same run again sends repeats
  double early_share = 0;              // feedbacks whose trace is sent only after them
  double repeat_share = 0;             // feedbacks sent a second time with the same Idempotency-Key
  bool by_trace_id = false;            // else by client_request_id
  bool mlflow = false;                 // by MLflow's API: POST …/traces/{trace_id}/assessments
  bool search = false;                 // not feedback, but searches for a client_request_id by MLflow's API
  bool keyed = false;                  // every feedback has an Idempotency-Key
  bool check = false;                  // afterwards: every accepted id must be committed, once
  std::chrono::seconds check_for{60};  // how long the check waits for the last of them
};

struct LoadResult {
  std::uint64_t sent = 0, accepted = 0, late = 0, connection_errors = 0;
  std::map<int, std::uint64_t> statuses;
  double seconds = 0;
  LatencyHistogram latency;
  // Of the check.
  std::uint64_t checked = 0, committed = 0, parked = 0, dead = 0, pending = 0, missing = 0;
};

// The ids of a run's traces.
std::string trace_id(std::string_view run, std::uint64_t n);
std::string request_id(std::string_view run, std::uint64_t n);

// Blocks. Fails in words when the server can't be reached or a trace is refused.
Result<LoadResult, std::string> run_load(const LoadConfig& config);

std::string to_text(const LoadConfig& config, const LoadResult& result);
std::string to_json(const LoadConfig& config, const LoadResult& result);

}  // namespace assay::load
