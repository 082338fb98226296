#pragma once
// A clock that stands still until a test moves it. Thread-safe.
#include <atomic>

#include "ops/runtime/clock.hpp"

namespace assay {

class HandClock final : public Clock {
 public:
  explicit HandClock(Instant at = Instant(std::chrono::milliseconds(1'700'000'000'000))) : at_(at) {}
  Instant now() const override { return at_; }
  void set(Instant at) { at_ = at; }
  HandClock& operator+=(std::chrono::milliseconds by) { return set(at_.load() + by), *this; }
  HandClock& operator-=(std::chrono::milliseconds by) { return *this += -by; }

 private:
  std::atomic<Instant> at_;
};

}  // namespace assay
