#include "ingest/server/server_metrics.hpp"

#include <algorithm>

#include "ops/runtime/error.hpp"

namespace assay {
namespace {

Counter& refused(Metrics& metrics, const char* reason) {
  return metrics.counter("assay_ingest_refused_total", "Requests refused, by reason", {{"reason", reason}});
}

}  // namespace

ServerMetrics::ServerMetrics(Metrics& metrics, const Router& router, const Admission& admission,
                             std::shared_ptr<const Admission> answers)
    : connections(metrics.gauge("assay_ingest_connections", "Open connections")),
      accepted_total(metrics.counter("assay_ingest_connections_total", "Connections accepted")),
      accept_errors_total(metrics.counter("assay_ingest_accept_errors_total", "Failed accepts")),
      tls_failures_total(metrics.counter("assay_ingest_tls_failures_total", "Connections whose TLS handshake failed")),
      refused_over_capacity(refused(metrics, "over_capacity")),
      refused_log_full(refused(metrics, "log_full")),
      refused_log_unavailable(refused(metrics, "log_unavailable")),
      refused_log_late(refused(metrics, "log_late")),
      refused_malformed(refused(metrics, "malformed")),
      refused_too_large(refused(metrics, "too_large")),
      refused_too_slow(refused(metrics, "too_slow")),
      refused_connections(refused(metrics, "connections")),
      handler_failures_total(
          metrics.counter("assay_ingest_handler_failures_total", "Handlers that ended in an exception")),
      overdue_total(metrics.counter("assay_ingest_overdue_total", "Requests answered 503 because their time was up")) {
  for (const auto& route : router.routes())
    routes_.push_back(of(metrics, std::string(http::to_string(route->method)) + " " + route->pattern));
  routes_.push_back(of(metrics, "none"));
  auto& bytes = metrics.gauge("assay_ingest_in_flight_bytes", "Request bytes between header and answer");
  auto& requests = metrics.gauge("assay_ingest_in_flight_requests", "Requests between header and answer");
  auto& reads = metrics.gauge("assay_ingest_answer_bytes", "Bytes of large answers to reads that clients still take");
  metrics.on_collect([&bytes, &requests, &reads, &admission, answers = std::move(answers)] {
    reads.Set(static_cast<double>(answers->bytes_in_flight()));
    bytes.Set(static_cast<double>(admission.bytes_in_flight()));
    requests.Set(static_cast<double>(admission.requests_in_flight()));
  });
}

ServerMetrics::OfRoute ServerMetrics::of(Metrics& metrics, const std::string& route) {
  OfRoute out;
  for (std::size_t i = 1; i < out.by_class.size(); ++i)
    out.by_class[i] = &metrics.counter("assay_ingest_requests_total", "Answered requests",
                                       {{"route", route}, {"class", std::to_string(i) + "xx"}});
  out.seconds = &metrics.latency("assay_ingest_request_seconds", "Header read to answer written", {{"route", route}});
  return out;
}

void ServerMetrics::refused_later(error_code cause) {
  if (cause == Error::over_capacity) refused_over_capacity.Increment();
  if (cause == Error::log_full) refused_log_full.Increment();
  if (cause == Error::log_unavailable || cause == Error::log_changed) refused_log_unavailable.Increment();
  if (cause == Error::timed_out) refused_log_late.Increment();
}

void ServerMetrics::answered(const Route* route, unsigned status, double seconds) {
  const auto& of = route ? routes_[route->number] : routes_.back();
  of.by_class[std::clamp(status / 100, 1u, 5u)]->Increment();
  of.seconds->Observe(seconds);
}

}  // namespace assay
