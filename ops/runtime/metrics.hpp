#pragma once
// Metrics of one process, in Prometheus' text format. A component declares what it counts in one struct beside its
// code, filled from here; names are assay_<module>_<thing>_{total,seconds,bytes}; labels are few and bounded.
//
// Thread-safe. References live as long as the Metrics.
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace assay {

using Counter = prometheus::Counter;
using Gauge = prometheus::Gauge;
using Histogram = prometheus::Histogram;

class Metrics {
 public:
  using Labels = std::map<std::string, std::string>;

  Counter& counter(const std::string& name, const std::string& help, const Labels& labels = {});
  Gauge& gauge(const std::string& name, const std::string& help, const Labels& labels = {});
  // Buckets for latencies, in seconds: 0.25 ms to 30 s.
  Histogram& latency(const std::string& name, const std::string& help, const Labels& labels = {});

  // Called before each exposition: for gauges that are read rather than kept (lag, disk space). Must not block for
  // long.
  void on_collect(std::function<void()> refresh);

  // The exposition (text/plain; version=0.0.4).
  std::string text();

 private:
  prometheus::Registry registry_;
  std::mutex mutex_;
  std::vector<std::function<void()>> refresh_;
};

}  // namespace assay
