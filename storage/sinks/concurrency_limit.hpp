#pragma once
// How many requests a server gets at once: one more after each round that it answered well, fewer when it is overloaded
// or slower than the goal. A function of what it is told; one thread.
#include <algorithm>
#include <chrono>
#include <cstddef>

namespace assay {

class ConcurrencyLimit {
 public:
  explicit ConcurrencyLimit(std::size_t most, std::chrono::milliseconds goal = std::chrono::seconds(1))
      : most_(std::max<std::size_t>(most, 1)), goal_(goal), limit_(std::min<double>(4, static_cast<double>(most_))) {}

  std::size_t current() const { return static_cast<std::size_t>(limit_); }
  void answered(std::chrono::steady_clock::duration took) {
    if (took > goal_) return overloaded();
    limit_ = std::min(limit_ + 1 / limit_, static_cast<double>(most_));
    ++since_cut_;
  }
  // Once a round: what is in flight is slow for the same reason.
  void overloaded() {
    if (cut_ && since_cut_ < current()) {
      ++since_cut_;
      return;
    }
    limit_ = std::max(1.0, limit_ * 0.7);
    cut_ = true;
    since_cut_ = 0;
  }

 private:
  const std::size_t most_;
  const std::chrono::milliseconds goal_;
  double limit_;
  bool cut_ = false;
  std::size_t since_cut_ = 0;
};

}  // namespace assay
