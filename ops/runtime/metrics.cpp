#include "ops/runtime/metrics.hpp"

#include <prometheus/text_serializer.h>

namespace assay {

// Registering the same family again gives the one that is there: prometheus-cpp merges by name and labels.
Counter& Metrics::counter(const std::string& name, const std::string& help, const Labels& labels) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry_).Add(labels);
}

Gauge& Metrics::gauge(const std::string& name, const std::string& help, const Labels& labels) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry_).Add(labels);
}

Histogram& Metrics::latency(const std::string& name, const std::string& help, const Labels& labels) {
  static const Histogram::BucketBoundaries seconds{0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05,
                                                   0.1,     0.2,    0.5,   1,     2,     5,    10,   30};
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry_).Add(labels, seconds);
}

void Metrics::on_collect(std::function<void()> refresh) {
  std::scoped_lock lock(mutex_);
  refresh_.push_back(std::move(refresh));
}

std::string Metrics::text() {
  {
    std::scoped_lock lock(mutex_);
    for (auto& refresh : refresh_) refresh();
  }
  return prometheus::TextSerializer().Serialize(registry_.Collect());
}

}  // namespace assay
