#pragma once
// Waits for what another thread does; the test fails where it has not come in ten seconds.
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <thread>

namespace assay {

inline void wait_until(const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!done() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  ASSERT_TRUE(done());
}

}  // namespace assay
