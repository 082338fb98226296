#pragma once
// The front door's budget: bytes of requests between their header and their answer. Over it the door says "later"
// before it reads a body. A share is kept for feedback: traces, whose bodies are large and whose senders repeat them,
// are refused first, then chat, which can be asked again.
//
// Thread-safe: one budget a process, however many threads serve.
#include <array>
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
  double trace_share = 0.5;         // of the bytes, before traces, spans and datasets are: open chats are no matter
};

class Admission {
 public:
  enum class Kind { feedback, chat, trace };

  explicit Admission(AdmissionLimits limits);

  // Gives its bytes back when it dies, on every path.
  class Permit {
   public:
    Permit() = default;
    Permit(Permit&& other) noexcept
        : owner_(std::exchange(other.owner_, nullptr)), bytes_(other.bytes_), kind_(other.kind_) {}
    Permit& operator=(Permit&& other) noexcept {
      release();
      owner_ = std::exchange(other.owner_, nullptr);
      bytes_ = other.bytes_;
      kind_ = other.kind_;
      return *this;
    }
    ~Permit() { release(); }

    // For what its header did not say: a body in chunks, what a body unpacks to. On an error nothing more was taken.
    Result<void> grow(std::size_t bytes);
    // By how much it could, were there no other.
    std::size_t growth_max() const;

   private:
    friend class Admission;
    Permit(Admission& owner, std::size_t bytes, Kind kind) : owner_(&owner), bytes_(bytes), kind_(kind) {}
    void release() {
      if (!owner_) return;
      owner_->bytes_ -= bytes_;
      --owner_->requests_;
      owner_ = nullptr;
    }
    Admission* owner_ = nullptr;
    std::size_t bytes_ = 0;
    Kind kind_ = Kind::feedback;
  };

  // Error::over_capacity when the budget has no room for `bytes` more.
  Result<Permit> try_admit(std::size_t bytes, Kind kind);

  // The most that one request may ever take: what is larger need not be repeated.
  std::size_t bytes_max(Kind kind) const { return bounds(kind).bytes; }

  std::size_t bytes_in_flight() const { return bytes_; }
  std::size_t requests_in_flight() const { return requests_; }

 private:
  struct Bounds {
    std::size_t bytes, requests;
  };
  const Bounds& bounds(Kind kind) const { return bounds_[static_cast<std::size_t>(kind)]; }

  const std::array<Bounds, 3> bounds_;  // by kind
  std::atomic<std::size_t> bytes_{0}, requests_{0};
};

}  // namespace assay
