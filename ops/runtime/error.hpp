#pragma once
// The failures that are our own. What Asio, RocksDB and librdkafka report is mapped to one of these where a caller must
// act on it; the rest keeps the category it came with.
#include <boost/system/error_category.hpp>
#include <boost/system/error_code.hpp>
#include <string>

namespace assay {

enum class Error {
  over_capacity = 1,  // a bound of ours is reached: refuse, say "later"
  over_quota,         // a client's own bound is reached
  log_unavailable,    // the record was not acknowledged; it may still have been written
  log_full,           // the disk, or the log's own bound, has no room; nothing was written
  not_found,          // no such key, record or trace
  corrupt,            // bytes on disk or in the log are not what their format says
  storage_failed,     // the database refused a read or a write
  unsupported,        // this role or configuration can't do it
  timed_out,          // a deadline passed
  sink_unavailable,   // a server that is committed to does not answer, or not now
  stopped,            // the owner is shutting down
  log_changed,        // the log is another one than this process began with
};

class ErrorCategory final : public boost::system::error_category {
 public:
  const char* name() const noexcept override { return "assay"; }
  std::string message(int value) const override;
};

const ErrorCategory& error_category();
inline boost::system::error_code make_error_code(Error e) { return {static_cast<int>(e), error_category()}; }

}  // namespace assay

template <>
struct boost::system::is_error_code_enum<assay::Error> : std::true_type {};
