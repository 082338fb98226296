#include "storage/log/stall_watch.hpp"

#include <algorithm>

namespace assay {
namespace {

constexpr std::chrono::seconds young{1};

}  // namespace

bool StallWatch::stalled(std::int64_t moved, Steady::time_point now) const {
  const auto began = began_.load(std::memory_order_relaxed);
  if (began == none || now - began < std::min<Steady::duration>(limit_, young)) return false;
  std::scoped_lock lock(mutex_);
  if (began != step_ || moved != moved_) {
    counted_ = {};
    looked_ = began == step_ ? now : began;
    step_ = began;
    moved_ = moved;
  }
  counted_ += std::clamp<Steady::duration>(now - looked_, Steady::duration(0), limit_ / 2);
  looked_ = std::max(looked_, now);
  return counted_ >= limit_;
}

}  // namespace assay
