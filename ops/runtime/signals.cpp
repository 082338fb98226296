#include "ops/runtime/signals.hpp"

#include <signal.h>
#include <unistd.h>

#include <chrono>
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

// Who ends a process and then its group, as timeout(1) does, sends twice what he means once.
void pass_over_repeats() {
  using namespace std::chrono_literals;
  const auto set = stop_signals();
  const auto until = std::chrono::steady_clock::now() + 100ms;
  for (auto left = until - std::chrono::steady_clock::now(); left > 0ms;
       left = until - std::chrono::steady_clock::now()) {
    const timespec rest{0, std::chrono::nanoseconds(left).count()};
    (void)sigtimedwait(&set, nullptr, &rest);
  }
}

// Takes the next of these signals, if one comes before `done` is asked to stop, and ends the process.
void end_at_signal(std::stop_token done, const std::function<void()>& say, int code) {
  const auto set = stop_signals();
  const timespec a_moment{0, 10'000'000};
  while (!done.stop_requested())
    if (sigtimedwait(&set, nullptr, &a_moment) > 0) {
      say();
      _exit(code);
    }
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

StopWhileStarting::StopWhileStarting()
    : waiting_([](std::stop_token done) {
        end_at_signal(
            std::move(done), [] { spdlog::info("event=stopped reason=\"a signal while starting\""); }, 0);
      }) {}

void wait_for_stop(const std::function<void()>& drain, const std::function<void()>& reload) {
  const auto set = stop_signals();
  auto awaited = set;
  if (reload) sigaddset(&awaited, SIGHUP);
  int number = 0;
  siginfo_t from{};
  while ((number = sigwaitinfo(&awaited, &from)) < 0 || number == SIGHUP)
    if (number == SIGHUP) reload();
  if (from.si_code == SI_USER && from.si_pid == ::getpid())
    spdlog::info("event=draining reason=\"this process can't go on\"");
  else
    spdlog::info("event=draining signal={}", number == SIGTERM ? "SIGTERM" : "SIGINT");
  std::jthread second([](std::stop_token done) {
    pass_over_repeats();
    end_at_signal(
        std::move(done), [] { spdlog::warn("event=ended_at_once reason=\"second signal\""); }, 1);
  });
  drain();
}

}  // namespace assay
