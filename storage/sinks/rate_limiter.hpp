#pragma once
#include <algorithm>
#include <chrono>

namespace assay {

// So many a second, a second's worth at once; 0: no limit. One thread.
class RateLimiter {
 public:
  using Time = std::chrono::steady_clock::time_point;
  explicit RateLimiter(unsigned per_second) : per_second_(per_second) {}
  // When the caller may go; it must.
  Time take(Time now) {
    if (per_second_ == 0) return now;
    const auto step = std::chrono::duration_cast<Time::duration>(std::chrono::duration<double>(1.0 / per_second_));
    next_ = std::max(next_, now - std::chrono::seconds(1));
    next_ += step;
    return std::max(now, next_);
  }

 private:
  unsigned per_second_;
  Time next_{};
};

}  // namespace assay
