#include "ingest/http/admission.hpp"

#include <algorithm>
#include <limits>

namespace assay {

namespace {

std::size_t share_of(double share, std::size_t whole) {
  return std::max<std::size_t>(1, static_cast<std::size_t>(share * static_cast<double>(whole)));
}

}  // namespace

Admission::Admission(AdmissionLimits limits)
    : bounds_{Bounds{limits.bytes_max, limits.requests_max},
              Bounds{share_of(limits.chat_share, limits.bytes_max), share_of(limits.chat_share, limits.requests_max)},
              Bounds{share_of(limits.trace_share, limits.bytes_max), limits.requests_max}} {}

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
