#include "ops/runtime/service_manager.hpp"

#include <systemd/sd-daemon.h>

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "ops/runtime/log.hpp"

namespace assay {

ServiceManager::ServiceManager(std::function<bool()> live) : live_(std::move(live)) {
  sd_notify(0, "READY=1");
  std::uint64_t limit_us = 0;
  if (sd_watchdog_enabled(0, &limit_us) <= 0 || limit_us == 0) return;
  watchdog_ = std::jthread([this, pause = std::chrono::microseconds(limit_us / 2)](std::stop_token stop) {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any wake;
    bool was_live = true;
    while (!stop.stop_requested()) {
      const bool live = stopping_ || live_();
      if (live) sd_notify(0, "WATCHDOG=1");
      if (live != was_live) spdlog::warn("event=watchdog live={}", live);
      was_live = live;
      wake.wait_for(lock, stop, pause, [] { return false; });
    }
  });
}

void ServiceManager::stopping() {
  stopping_ = true;
  sd_notify(0, "STOPPING=1");
}

}  // namespace assay
