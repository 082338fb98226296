#pragma once
// What the process tells systemd, when it was started by it (Type=notify): that it runs (READY=1), each time that it
// changes what /readyz says of it (STATUS=), that it stops, and every half of WatchdogSec that it is alive. Protocol:
// sd_notify(3). Without systemd nothing happens.
//
// READY=1 does not wait for /readyz: a start that has no bound (a state is rebuilt, a view reads for hours, topics are
// refused) would be ended by TimeoutStartSec, and there is no watchdog before it. Who waits for the other reads the
// status: "ready", or "not ready: " and why.
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace assay {

class ServiceManager {
 public:
  // Says READY=1. `live` is asked from a thread of its own, as often as the watchdog wants it; while it answers false
  // nothing is said, and systemd ends the process and starts it anew. `not_ready` says why /readyz is not 200, or
  // nothing. Neither blocks. What they ask is there until stopping().
  ServiceManager(std::function<bool()> live, std::function<std::string()> not_ready);

  // A drain begins: STOPPING=1. From then on it counts as alive, for TimeoutStopSec has its end, and nothing is asked.
  void stopping();

 private:
  void look();

  std::function<bool()> live_;
  std::function<std::string()> not_ready_;
  bool watched_ = false, was_live_ = true;  // these and the next are the thread's
  std::string status_;
  std::mutex mutex_;  // held while they are asked: they are not, once stopping() has returned
  bool stopping_ = false;
  std::jthread thread_;
};

}  // namespace assay
