#pragma once
// What `assay forget` asks of the process that owns the data. Each is an append to the log, which the resolver, the
// store and MLflow follow; twice is harmless.
#include <mutex>
#include <string>

#include "ops/runtime/task.hpp"
#include "storage/log/event_log.hpp"

namespace assay::cli {

// Thread-safe; one act at a time. Lines, their parts separated by a tab, since ids may have spaces:
//
//   forget-assessment ASSESSMENT_ID TRACE_ID        the assessment is deleted wherever it is
//   forget-parked ASSESSMENT_ID CLIENT_REQUEST_ID   the same, for one whose trace is not known yet
//   forget-trace TRACE_ID                           the trace, its spans and all that was said about it
//   forget-dataset-record DATASET_ID RECORD_ID      the record; its dataset counts anew with its next change
class ForgetActs {
 public:
  // `io` runs only inside the acts.
  ForgetActs(EventLog& log, IoContext& io) : log_(log), io_(io) {}
  static bool knows(const std::string& line) { return line.starts_with("forget-"); }
  // "ok" or "error SENTENCE".
  std::string answer(const std::string& line) const;

 private:
  EventLog& log_;
  IoContext& io_;
  mutable std::mutex mutex_;
};

}  // namespace assay::cli
