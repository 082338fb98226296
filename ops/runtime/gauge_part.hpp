#pragma once
// One's own part of a gauge that several may share: it goes with its owner. One thread at a time.
#include <cmath>

#include "ops/runtime/metrics.hpp"

namespace assay {

class GaugePart {
 public:
  explicit GaugePart(Gauge& gauge) : gauge_(gauge) {}
  GaugePart(const GaugePart&) = delete;
  ~GaugePart() { set(0); }

  // To a 1024th, of which a double's sums are exact: nothing is left over when all parts are 0.
  void set(double value) {
    value = std::round(value * 1024) / 1024;
    gauge_.Increment(value - value_);
    value_ = value;
  }

 private:
  Gauge& gauge_;
  double value_ = 0;
};

}  // namespace assay
