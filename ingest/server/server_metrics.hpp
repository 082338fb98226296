#pragma once
// What the HTTP server counts. References are resolved once, so that a request looks nothing up.
#include <array>
#include <memory>
#include <vector>

#include "ingest/http/admission.hpp"
#include "ingest/http/router.hpp"
#include "ops/runtime/metrics.hpp"

namespace assay {

class ServerMetrics {
 public:
  ServerMetrics(Metrics& metrics, const Router& router, const Admission& admission,
                std::shared_ptr<const Admission> answers);

  // A 503, by its cause. One that is no matter of room or of the log (a probe, a drain) is none; who refuses a read
  // because it is late says no cause.
  void refused_later(error_code cause);

  // One answered request; `route` none: no route had been found. `seconds`: from the end of its header to the last byte
  // of the answer.
  void answered(const Route* route, unsigned status, double seconds);

  Gauge& connections;
  Counter& accepted_total;  // connections
  Counter& accept_errors_total;
  Counter& tls_failures_total;  // handshakes
  // For want of room: before a handler ran, or because the log takes nothing now.
  Counter& refused_over_capacity;
  Counter& refused_log_full;
  Counter& refused_log_unavailable;
  Counter& refused_log_late;
  // Before a handler ran.
  Counter& refused_malformed;  // 4xx of the framing
  Counter& refused_too_large;
  Counter& refused_too_slow;
  Counter& refused_connections;
  Counter& handler_failures_total;  // exceptions: bugs
  Counter& overdue_total;           // handlers that were not done in time

 private:
  struct OfRoute {
    std::array<Counter*, 6> by_class{};  // "2xx" is at 2
    Histogram* seconds = nullptr;
  };
  static OfRoute of(Metrics& metrics, const std::string& route);
  std::vector<OfRoute> routes_;  // by Route::number; the last: no route
};

}  // namespace assay
