#include "ops/runtime/error.hpp"

namespace assay {

std::string ErrorCategory::message(int value) const {
  switch (static_cast<Error>(value)) {
    case Error::over_capacity:
      return "over capacity";
    case Error::over_quota:
      return "over quota";
    case Error::log_unavailable:
      return "event log unavailable";
    case Error::log_full:
      return "event log full";
    case Error::not_found:
      return "not found";
    case Error::corrupt:
      return "corrupt data";
    case Error::storage_failed:
      return "storage failed";
    case Error::unsupported:
      return "not supported here";
    case Error::timed_out:
      return "timed out";
    case Error::sink_unavailable:
      return "the sink's server is not available";
    case Error::stopped:
      return "shutting down";
    case Error::log_changed:
      return "the event log is not the one that this process began with: see its log for what has changed";
  }
  return "unknown error";
}

const ErrorCategory& error_category() {
  static const ErrorCategory category;
  return category;
}

}  // namespace assay
