#pragma once
// Token buckets for any number of callers in a fixed amount of memory. A caller's bucket is found by a hash under a
// secret of this process; where a set of slots is full, the bucket that is closest to full goes, for it is the one
// whose loss means least. A million addresses so cost nobody but themselves, and no memory.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>

namespace assay {

struct Rate {
  double per_second = 0;  // 0: no limit
  double burst = 0;       // tokens of a full bucket; at least 1 where there is a limit
  bool limited() const { return per_second > 0; }
  bool operator==(const Rate&) const = default;
};

// Thread-safe.
class TokenBuckets {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // 128 KiB for each 8192 slots.
  explicit TokenBuckets(std::size_t slots = 64u << 10);

  struct Taken {
    bool allowed = true;
    std::uint32_t remaining = 0;        // whole tokens
    std::chrono::milliseconds wait{0};  // until the next one, where there is none
  };
  Taken take(std::string_view caller, const Rate& rate, Time now);

  std::size_t bytes() const { return sets_ * sizeof(Set); }

 private:
  struct Slot {
    std::uint64_t tag = 0;  // 0: free
    float tokens = 0;
    std::uint32_t at_ms = 0;
  };
  struct alignas(64) Set {
    std::atomic_flag busy;
    Slot slots[8];
  };
  std::uint64_t hash(std::string_view caller) const;

  const std::size_t sets_;
  const std::uint64_t secret_;
  const Time start_;
  const std::unique_ptr<Set[]> table_;
};

}  // namespace assay
