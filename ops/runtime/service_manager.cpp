#include "ops/runtime/service_manager.hpp"

#include <systemd/sd-daemon.h>

#include <algorithm>
#include <chrono>

#include "ops/runtime/log.hpp"
#include "ops/runtime/thread.hpp"

namespace assay {

ServiceManager::ServiceManager(std::function<bool()> live, std::function<std::string()> not_ready)
    : live_(std::move(live)), not_ready_(std::move(not_ready)) {
  if (sd_notify(0, "READY=1") <= 0) return;
  std::chrono::milliseconds pause(500);
  std::uint64_t limit_us = 0;
  watched_ = sd_watchdog_enabled(0, &limit_us) > 0 && limit_us > 0;
  if (watched_) pause = std::min(pause, std::chrono::milliseconds(limit_us / 2000));
  thread_ = std::jthread([this, pause](std::stop_token stop) {
    while (!stop.stop_requested()) {
      look();
      sleep_unless_stopped(stop, pause);
    }
  });
}

void ServiceManager::look() {
  const std::scoped_lock lock(mutex_);
  const bool live = stopping_ || live_();
  if (live && watched_) sd_notify(0, "WATCHDOG=1");
  if (watched_ && live != was_live_) spdlog::warn("event=watchdog live={}", live);
  was_live_ = live;
  if (stopping_) return;
  const auto why = not_ready_();
  auto status = why.empty() ? "STATUS=ready" : "STATUS=not ready: " + why;
  if (status != status_) sd_notify(0, status.c_str());
  status_ = std::move(status);
}

void ServiceManager::stopping() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  sd_notify(0, "STOPPING=1");
}

}  // namespace assay
