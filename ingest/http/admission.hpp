#pragma once
// The front door's budget: bytes of requests between their header and their answer. Over it the door says "later"
// before it reads a body. A share is kept for feedback: chat, which can be asked again, is refused first.
//
// Thread-safe: one budget a process, however many threads serve.
#include <atomic>
#include <cstddef>
#include <utility>

#include "ops/runtime/error.hpp"
#include "ops/runtime/result.hpp"

namespace assay {

struct AdmissionLimits {
  // Request bytes in flight, as their headers announce them: room for a feedback of the largest size on each of the
  // connections, so that bodies which never come keep nobody out. What has not come takes no memory.
  std::size_t bytes_max = 256u << 20;
  std::size_t requests_max = 8192;  // requests in flight
  double chat_share = 0.75;         // of both, before chat is refused
};

class Admission {
 public:
  enum class Kind { feedback, chat };

  explicit Admission(AdmissionLimits limits) : limits_(limits) {}

  // Gives its bytes back when it dies, on every path.
  class Permit {
   public:
    Permit() = default;
    Permit(Permit&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)), bytes_(other.bytes_) {}
    Permit& operator=(Permit&& other) noexcept {
      release();
      owner_ = std::exchange(other.owner_, nullptr);
      bytes_ = other.bytes_;
      return *this;
    }
    ~Permit() { release(); }

   private:
    friend class Admission;
    Permit(Admission& owner, std::size_t bytes) : owner_(&owner), bytes_(bytes) {}
    void release() {
      if (!owner_) return;
      owner_->bytes_ -= bytes_;
      --owner_->requests_;
      owner_ = nullptr;
    }
    Admission* owner_ = nullptr;
    std::size_t bytes_ = 0;
  };

  // Error::over_capacity when the budget has no room for `bytes` more.
  Result<Permit> try_admit(std::size_t bytes, Kind kind);

  std::size_t bytes_in_flight() const { return bytes_; }
  std::size_t requests_in_flight() const { return requests_; }
  const AdmissionLimits& limits() const { return limits_; }

 private:
  AdmissionLimits limits_;
  std::atomic<std::size_t> bytes_{0}, requests_{0};
};

}  // namespace assay
