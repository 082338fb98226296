#pragma once
// Token buckets for any number of callers in a fixed amount of memory. A caller's bucket is found by a hash under a
// secret of this process; where a set of slots is full, the bucket that is closest to full goes, for it is the one
// whose loss means least. So a million addresses evict only each other, and cost no memory.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
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
    std::uint64_t bucket = 0;           // for take_more
  };
  Taken take(std::string_view caller, const Rate& rate, Time now);
  // One more token of the same caller, by Taken::bucket.
  Taken take_from(std::uint64_t bucket, const Rate& rate, Time now);
  // What turned out to cost more than its one token: takes the rest, too, and leaves a debt where there is not enough.
  // A bucket that is gone by now owes nothing.
  void take_more(std::uint64_t bucket, const Rate& rate, std::size_t tokens, Time now);
  // What a caller would find; takes nothing.
  Taken left(std::uint64_t bucket, const Rate& rate, Time now);

  std::size_t bytes() const { return sets_ * sizeof(Set); }

 private:
  struct Slot {
    std::uint64_t tag = 0;  // 0: free
    float tokens = 0;       // below 0: a debt
    std::uint32_t at_ms = 0;

    float filled(const Rate& rate, std::uint32_t now_ms) const;
  };
  struct alignas(64) Set {
    std::atomic_flag busy;
    Slot slots[8];

    void lock() {
      while (busy.test_and_set(std::memory_order_acquire)) {
      }
    }
    void unlock() { busy.clear(std::memory_order_release); }
  };
  std::uint64_t hash(std::string_view caller) const;
  Set& set_of(std::uint64_t bucket) { return table_[(bucket >> 32) & (sets_ - 1)]; }
  std::uint32_t milliseconds(Time now) const;

  const std::size_t sets_;
  const std::uint64_t secret_;
  const Time start_;
  const std::unique_ptr<Set[]> table_;
};

// As headers say it: rounded up.
inline std::int64_t whole_seconds(std::chrono::milliseconds wait) { return (wait.count() + 999) / 1000; }
// The line that says what is left.
void append_rate_limit(std::string_view policy, const TokenBuckets::Taken& left, std::string& out);

// What a request was charged to, the last of its quotas; it may cost more than its one token. As long as the gate.
struct Charge {
  TokenBuckets* buckets = nullptr;  // null: to nobody
  std::uint64_t bucket = 0;
  Rate rate;
  std::string_view policy;  // the quota's name

  // For one more act of the same request: how long to wait where there is no token for it.
  std::chrono::milliseconds wait_for_one() const {
    if (!buckets) return {};
    return buckets->take_from(bucket, rate, std::chrono::steady_clock::now()).wait;
  }
  void more(std::size_t tokens) const {
    if (buckets && tokens > 0) buckets->take_more(bucket, rate, tokens, std::chrono::steady_clock::now());
  }
  // append_rate_limit() of it, as of now. To be written with the answer: only then is it known what the request has
  // cost.
  void append_header(std::string& out) const;
};

}  // namespace assay
