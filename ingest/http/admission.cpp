#include "ingest/http/admission.hpp"

#include <algorithm>
#include <limits>

namespace assay {

Admission::Admission(AdmissionLimits limits)
    : bounds_([&limits] {
        const auto share = [&limits](double of) {
          return Bounds{static_cast<std::size_t>(of * static_cast<double>(limits.bytes_max)),
                        static_cast<std::size_t>(of * static_cast<double>(limits.requests_max))};
        };
        return std::array{share(1), share(limits.chat_share), share(limits.trace_share)};  // in the order of Kind
      }()) {}

Result<Admission::Permit> Admission::try_admit(std::size_t bytes, Kind kind) {
  const auto& most = bounds(kind);
  // Take first, look afterwards: two threads at the edge may both be refused, never both be let over it.
  const auto bytes_after = bytes_ += bytes;
  const auto requests_after = ++requests_;
  Permit permit(*this, bytes, kind);
  if (bytes_after > most.bytes || requests_after > most.requests) return Error::over_capacity;
  return permit;
}

Result<void> Admission::Permit::grow(std::size_t bytes) {
  if (!owner_) return {};
  if ((owner_->bytes_ += bytes) > owner_->bytes_max(kind_)) {
    owner_->bytes_ -= bytes;
    return Error::over_capacity;
  }
  bytes_ += bytes;
  return {};
}

std::size_t Admission::Permit::growth_max() const {
  if (!owner_) return std::numeric_limits<std::size_t>::max();
  const auto most = owner_->bytes_max(kind_);
  return most - std::min(most, bytes_);
}

}  // namespace assay
