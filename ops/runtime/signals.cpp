#include "ops/runtime/signals.hpp"

#include <signal.h>
#include <unistd.h>

#include <thread>

#include "ops/runtime/log.hpp"

namespace assay {
namespace {

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

void block_stop_signals() {
  const auto set = stop_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

void block_reload_signal() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

void wait_for_stop(const std::function<void()>& drain, const std::function<void()>& reload) {
  const auto set = stop_signals();
  auto awaited = set;
  if (reload) sigaddset(&awaited, SIGHUP);
  int number = 0;
  while (sigwait(&awaited, &number) != 0 || number == SIGHUP)
    if (number == SIGHUP) reload();
  spdlog::info("event=draining signal={}", number == SIGTERM ? "SIGTERM" : "SIGINT");
  std::jthread second([set](std::stop_token done) {
    const timespec a_moment{0, 100'000'000};
    while (!done.stop_requested())
      if (sigtimedwait(&set, nullptr, &a_moment) > 0) {
        spdlog::warn("event=ended_at_once reason=\"second signal\"");
        _exit(1);
      }
  });
  drain();
}

}  // namespace assay
