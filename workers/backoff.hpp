#pragma once
// How long to wait before the next try: doubles from `first` to `most`, with up to half of it taken off at random, so
// that many who failed together do not come back together. Not thread-safe.
#include <chrono>
#include <random>

namespace assay {

class Backoff {
 public:
  explicit Backoff(std::chrono::milliseconds first = std::chrono::milliseconds(100),
                   std::chrono::milliseconds most = std::chrono::seconds(10));
  std::chrono::milliseconds next();
  void reset() { tries_ = 0; }
  int tries() const { return tries_; }

 private:
  std::chrono::milliseconds first_, most_;
  int tries_ = 0;
  std::minstd_rand random_;
};

}  // namespace assay
