#pragma once
// What a front door can read: the seam between it and a store beside it (serve, or ingest --view). A Kafka front door
// without a view has none, and answers 501 in words where it would need one.
#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "ops/runtime/clock.hpp"
#include "ops/runtime/result.hpp"
#include "ops/runtime/task.hpp"
#include "storage/records/feedback_record.hpp"
#include "storage/state/key_value.hpp"

namespace assay {

// Where an accepted feedback is now.
struct Receipt {
  enum class State { accepted, parked, committed, dead, deleted };
  std::string assessment_id;
  State state = State::accepted;
  std::string trace_id;           // empty: not known
  std::string client_request_id;  // empty: the feedback came by trace_id
  std::optional<Instant> accepted_at;
  std::map<std::string, std::string> sinks;  // name -> "committed" | "pending" | "dead" | "deleted"
  std::string reason;                        // of a dead one, or of a sink that says "dead"

  // By what it was for; no more of that is known.
  void about(const Target& target);
};
std::string_view name_of(Receipt::State state);
std::string to_json(const Receipt& receipt);

// Thread-safe. Reads are quick (memory, or some microseconds of RocksDB) and may run on an io_context.
class View {
 public:
  virtual ~View() = default;

  // The trace that an id (client_request_id or trace_id) names, as far as this view has come.
  virtual Result<std::optional<std::string>> trace_of(std::string_view id) = 0;

  // Ids that were told before this time name nothing any more: --request-retention.
  virtual Instant told_since() const = 0;

  // Returns when the view has applied everything that was acknowledged by this process before the call.
  // Error::timed_out after `limit`.
  virtual Task<Result<void>> applied(std::chrono::milliseconds limit) = 0;

  // The same of the sinks that this process has beside the store: an MLflow that is asked afterwards has it all, but
  // for what waits (for its trace, say). Error::timed_out after `limit`, as where one of them can't write.
  virtual Task<Result<void>> sunk(std::chrono::milliseconds /*limit*/) { co_return Result<void>(); }

  // None: no such assessment here. One that was taken back, or whose trace was deleted, is `deleted`: only its trace is
  // still known. Call applied() first to read your own writes; so for the two below.
  virtual Result<std::optional<Receipt>> receipt(std::string_view assessment_id) = 0;

  // MLflow's JSON of the assessment, changes folded in; none: unknown or deleted.
  virtual Result<std::optional<std::string>> assessment(std::string_view assessment_id) = 0;

  // Whether a trace was deleted, as far as this view has come.
  virtual Result<bool> deleted(std::string_view trace_id) = 0;

  // All that this view has applied, for searches and lists. As long as the view.
  virtual const KeyValue& kv() const = 0;

  // MLflow's trace_info JSON with its tags and assessments; none: unknown or deleted.
  virtual Result<std::optional<std::string>> trace_info(std::string_view trace_id) = 0;

  // The figures of an experiment's feedback since `from`, as JSON: see report.hpp. Reads every trace of the window,
  // which takes seconds for some ten thousand: not for an io_context. Error::stopped once `go_on` says no.
  virtual Result<std::string> report(const std::string& experiment, Instant from, Instant now,
                                     const std::function<bool()>& go_on) = 0;
};

}  // namespace assay
