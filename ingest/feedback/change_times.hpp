#pragma once
// When a change was accepted, so that of two changes to one assessment the later one wins: sinks go by this time, in
// milliseconds, and a client that has its answer may send the next change within the same one. Thread-safe.
#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <string_view>

#include "ops/runtime/clock.hpp"

namespace assay {

class ChangeTimes {
 public:
  // `now`, or later where this assessment (or one that shares its slot) was changed at that time already.
  Instant next(std::string_view assessment_id, Instant now) {
    auto& last = last_[std::hash<std::string_view>()(assessment_id) % last_.size()];
    auto before = last.load(std::memory_order_relaxed);
    std::int64_t at = 0;
    do {
      at = std::max<std::int64_t>(now.time_since_epoch().count(), before + 1);
    } while (!last.compare_exchange_weak(before, at, std::memory_order_relaxed));
    return Instant(std::chrono::milliseconds(at));
  }

 private:
  std::array<std::atomic<std::int64_t>, 4096> last_{};
};

}  // namespace assay
