#pragma once
// One's own part of a gauge that several may share: it goes with its owner. One thread at a time.
#include "ops/runtime/metrics.hpp"

namespace assay {

class GaugePart {
 public:
  explicit GaugePart(Gauge& gauge) : gauge_(gauge) {}
  GaugePart(const GaugePart&) = delete;
  ~GaugePart() { set(0); }

  void set(double value) {
    gauge_.Increment(value - value_);
    value_ = value;
  }

 private:
  Gauge& gauge_;
  double value_ = 0;
};

}  // namespace assay
