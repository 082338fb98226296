#include "workers/backoff.hpp"

#include <algorithm>

namespace assay {

Backoff::Backoff(std::chrono::milliseconds first, std::chrono::milliseconds most)
    : first_(first), most_(most), random_(std::random_device{}()) {}

std::chrono::milliseconds Backoff::next() {
  const auto doubled = first_ * (1LL << std::min(tries_++, 20));
  const auto full = std::min<std::chrono::milliseconds>(doubled, most_);
  const auto less = std::uniform_int_distribution<long>(0, full.count() / 2)(random_);
  return full - std::chrono::milliseconds(less);
}

}  // namespace assay
