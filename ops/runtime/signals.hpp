#pragma once
// Stopping: SIGTERM (systemd, Kubernetes) and SIGINT ask for a drain; a second one ends the process at once.
#include <functional>
#include <thread>

namespace assay {

// Call first thing in main, before any thread starts: threads inherit that these signals are for wait_for_stop alone.
void block_stop_signals();

// A process that reads its keys again on SIGHUP calls this as early; others end by it, as ever.
void block_reload_signal();

// While a process starts, and may wait for a broker, it has nothing to drain: SIGTERM and SIGINT end it at once, code
// 0. What it has begun to write is as after a crash. To be ended before it listens.
class StopWhileStarting {
 public:
  StopWhileStarting();

 private:
  std::jthread waiting_;
};

// Blocks until SIGTERM or SIGINT, then runs `drain`. A second signal while it runs, a tenth of a second
// after the first or later, ends the process with code 1.
// `reload`, where there is one, runs at each SIGHUP before that.
void wait_for_stop(const std::function<void()>& drain, const std::function<void()>& reload = {});

}  // namespace assay
