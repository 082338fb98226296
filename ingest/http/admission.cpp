#include "ingest/http/admission.hpp"

namespace assay {

Result<Admission::Permit> Admission::try_admit(std::size_t bytes, Kind kind) {
  const double share = kind == Kind::chat ? limits_.chat_share : 1.0;
  const auto bytes_max = static_cast<std::size_t>(share * static_cast<double>(limits_.bytes_max));
  const auto requests_max = static_cast<std::size_t>(share * static_cast<double>(limits_.requests_max));
  // Take first, look afterwards: two threads at the edge may both be refused, never both be let over it.
  const auto bytes_after = bytes_ += bytes;
  const auto requests_after = ++requests_;
  Permit permit(*this, bytes);
  if (bytes_after > bytes_max || requests_after > requests_max) return Error::over_capacity;
  return permit;
}

}  // namespace assay
