#include "workers/resolver_thread.hpp"

#include "ops/runtime/log.hpp"
#include "ops/runtime/thread.hpp"

namespace assay {
namespace {

constexpr std::chrono::milliseconds wait_max{200};  // for records; wake() ends it

// What is thrown (the system has no memory) is a failure as any other: nothing that is in hand survives it.
Result<PartitionLoop::Ran> run_or_close(PartitionLoop& loop) {
  try {
    return loop.run_once(wait_max);
  } catch (const std::exception& e) {
    spdlog::error("event=resolver_failed problem=\"{}\"", e.what());
    loop.close();
    return Error::storage_failed;
  }
}

}  // namespace

ResolverThread::ResolverThread(PartitionLoopConfig config, EventSources& sources, KeyValue& state, OpenPartition open,
                               const Clock& clock, Metrics& metrics, Progress* progress)
    : partition_(config.partition),
      rest_(config.rest),
      loop_(config, sources, state, std::move(open), clock, metrics, progress),
      pass_(config.stuck_after),
      opening_(config.opening_stuck_after),
      thread_([this](std::stop_token stop) { run(stop); }) {}

ResolverThread::~ResolverThread() { stop(); }

void ResolverThread::stop() {
  thread_.request_stop();
  loop_.wake();
  if (thread_.joinable()) thread_.join();
}

void ResolverThread::run(std::stop_token stop) {
  name_this_thread("resolver");
  run_in_background();
  Backoff backoff;
  while (!stop.stop_requested()) {
    auto& under_watch = loop_.is_open() ? pass_ : opening_;
    under_watch.begin();
    const auto ran = run_or_close(loop_);
    under_watch.end();
    if (ran) {
      if (*ran != PartitionLoop::Ran::joined) backoff.reset();
      if (*ran == PartitionLoop::Ran::worked && !loop_.behind()) std::this_thread::sleep_for(rest_);
      continue;
    }
    const auto pause = backoff.next();
    spdlog::warn("event=resolver_failed partition={} error=\"{}\" retry_ms={}", partition_, ran.error().message(),
                 pause.count());
    sleep_unless_stopped(stop, pause);
  }
}

}  // namespace assay
