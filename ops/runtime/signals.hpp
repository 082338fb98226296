#pragma once
// Stopping: SIGTERM (systemd, Kubernetes) and SIGINT ask for a drain; a second one ends the process at once.
#include <functional>

namespace assay {

// Call first thing in main, before any thread starts: threads inherit that these signals are for wait_for_stop alone.
void block_stop_signals();

// Blocks until SIGTERM or SIGINT, then runs `drain`. A second signal while it runs ends the process with code 1.
void wait_for_stop(const std::function<void()>& drain);

}  // namespace assay
