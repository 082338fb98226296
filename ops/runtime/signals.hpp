#pragma once
// Stopping: SIGTERM (systemd, Kubernetes) and SIGINT ask for a drain; a second one ends the process at once.
#include <functional>

namespace assay {

// Call first thing in main, before any thread starts: threads inherit that these signals are for wait_for_stop alone.
void block_stop_signals();

// A process that reads its keys again on SIGHUP calls this as early; others end by it, as ever.
void block_reload_signal();

// Blocks until SIGTERM or SIGINT, then runs `drain`. A second signal while it runs ends the process with code 1.
// `reload`, where there is one, runs at each SIGHUP before that.
void wait_for_stop(const std::function<void()>& drain, const std::function<void()>& reload = {});

}  // namespace assay
