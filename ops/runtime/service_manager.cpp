#include "ops/runtime/service_manager.hpp"

#include <systemd/sd-daemon.h>

#include <chrono>

#include "ops/runtime/log.hpp"
#include "ops/runtime/thread.hpp"

namespace assay {

ServiceManager::ServiceManager(std::function<bool()> live) : live_(std::move(live)) {
  sd_notify(0, "READY=1");
  std::uint64_t limit_us = 0;
  if (sd_watchdog_enabled(0, &limit_us) <= 0 || limit_us == 0) return;
  watchdog_ = std::jthread([this, pause = std::chrono::milliseconds(limit_us / 2000)](std::stop_token stop) {
    bool was_live = true;
    while (!stop.stop_requested()) {
      const bool live = stopping_ || live_();
      if (live) sd_notify(0, "WATCHDOG=1");
      if (live != was_live) spdlog::warn("event=watchdog live={}", live);
      was_live = live;
      sleep_unless_stopped(stop, pause);
    }
  });
}

void ServiceManager::stopping() {
  stopping_ = true;
  sd_notify(0, "STOPPING=1");
}

}  // namespace assay
