#pragma once
// What the process tells systemd, when it was started by it (Type=notify): that it is ready, that it stops, and every
// half of WatchdogSec that it is alive. Protocol: sd_notify(3). Without systemd nothing happens.
#include <atomic>
#include <functional>
#include <thread>

namespace assay {

class ServiceManager {
 public:
  // Says READY=1. `live` is asked from a thread of its own, as often as the watchdog wants it; while it answers false
  // nothing is said, and systemd ends the process and starts it anew. Outlives this.
  explicit ServiceManager(std::function<bool()> live);

  // A drain begins: STOPPING=1. From then on it counts as alive, for TimeoutStopSec has its end.
  void stopping();

 private:
  std::function<bool()> live_;
  std::atomic<bool> stopping_{false};
  std::jthread watchdog_;
};

}  // namespace assay
