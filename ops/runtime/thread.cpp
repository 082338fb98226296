#include "ops/runtime/thread.hpp"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <mutex>

namespace assay {

void name_this_thread(const char* name) { pthread_setname_np(pthread_self(), name); }

void run_in_background() {
#ifdef __linux__
  // On Linux a nice value is a thread's own; 10 steps are a weight of 110 against 1024.
  constexpr int steps = 10, most = 19;
  const auto thread = static_cast<id_t>(::syscall(SYS_gettid));
  errno = 0;
  const int now = ::getpriority(PRIO_PROCESS, thread);
  if (errno == 0) (void)::setpriority(PRIO_PROCESS, thread, std::min(most, now + steps));
#endif
}

void run_as_batch() {
#ifdef __linux__
  const sched_param none{};
  (void)::sched_setscheduler(0, SCHED_BATCH, &none);
#endif
}

bool sleep_unless_stopped(std::stop_token stop, std::chrono::milliseconds time) {
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable_any().wait_for(lock, stop, time, [] { return false; });
  return !stop.stop_requested();
}

}  // namespace assay
