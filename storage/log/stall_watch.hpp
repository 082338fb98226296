#pragma once
// Whether a thread that goes from step to step has been standing still inside one: for /livez and /readyz.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>

namespace assay {

// Time counts as those see it who ask: between two looks no more than half of the limit does. So a process that was
// stopped and goes on, or a machine that slept, is not taken for one that hangs.
class StallWatch {
 public:
  using Steady = std::chrono::steady_clock;

  explicit StallWatch(std::chrono::milliseconds limit) : limit_(limit) {}

  // Its thread's own: a step begins, also where the one before it was not ended; it has ended. What has not begun, or
  // waits for what to do next, does not stand still.
  void begin(Steady::time_point now = Steady::now()) { began_.store(now, std::memory_order_relaxed); }
  void end() { began_.store(none, std::memory_order_relaxed); }

  // As long as this lives, a step is under way.
  class [[nodiscard]] Step {
   public:
    explicit Step(StallWatch& watch) : watch_(watch) { watch_.begin(); }
    ~Step() { watch_.end(); }
    Step(const Step&) = delete;

   private:
    StallWatch& watch_;
  };

  // Whether one and the same step has lasted for the limit, as far as was looked. `moved`: any figure that changes
  // while a long step gets on; then it counts from there. Thread-safe; of a step that is young it takes no lock.
  bool stalled(std::int64_t moved = 0, Steady::time_point now = Steady::now()) const;

 private:
  static constexpr Steady::time_point none{};

  const Steady::duration limit_;
  std::atomic<Steady::time_point> began_{none};
  mutable std::mutex mutex_;
  mutable Steady::time_point step_{none}, looked_{none};  // of the last look
  mutable std::int64_t moved_ = 0;
  mutable Steady::duration counted_{0};
};

}  // namespace assay
