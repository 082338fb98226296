#pragma once
// What the doors for feedback share: what they know of a trace, the append, the answer.
#include <chrono>
#include <optional>
#include <string>

#include "ingest/access/gate.hpp"
#include "ingest/feedback/change_times.hpp"
#include "ingest/feedback/feedback_metrics.hpp"
#include "ingest/feedback/feedback_request.hpp"
#include "ingest/feedback/new_feedback.hpp"
#include "ingest/feedback/recent_feedback.hpp"
#include "ingest/feedback/recent_traces.hpp"
#include "ingest/feedback/unknown_traces.hpp"
#include "ingest/http/request.hpp"
#include "ingest/http/response.hpp"
#include "ops/runtime/clock.hpp"
#include "storage/log/event_log.hpp"
#include "storage/store/view.hpp"

namespace assay {

struct FeedbackConfig {
  bool view_is_complete = false;  // the view holds everything that was ever accepted (serve): what it lacks is unknown
  std::chrono::milliseconds view_wait{5000};  // for a read of what was written before it
  std::size_t body_bytes_max = 64u << 10;
  std::size_t batch_bytes_max = 1u << 20;
  std::size_t batch_items_max = 1000;
};

// What all requests for feedback share, one a door, on all its threads. What it refers to outlives it.
struct FeedbackDoor {
  FeedbackConfig config;
  EventLog& log;
  View* view;  // null: a Kafka front door without one
  RecentTraces& recent;
  const Clock& clock;
  FeedbackMetrics metrics;
  const Gate* gate = nullptr;  // whose keys mark what was said with a capability
  ChangeTimes change_times = {};
  RecentFeedback accepted = RecentFeedback();  // where there is a view
  UnknownTraces* unknown = nullptr;            // who says 404 instead of parking; null: nobody does
};

// Who signs what is said with a capability; null: nobody.
const CapabilityKeys* capability_keys(const FeedbackDoor& door);
// What was asked, as the record of it: see new_feedback.hpp. `name` is the door's; `asked` has a target.
FeedbackRecord new_feedback(const FeedbackDoor& door, std::string_view name, const FeedbackRequest& asked,
                            std::span<const AssessmentBody> bodies);

// A change or a look by capability: only at what was said with it.
std::optional<Rejection> problem_with_owner(const FeedbackDoor& door, const FeedbackRequest& asked,
                                            std::string_view id);

// What has become of a feedback that was acknowledged before the call. `applied` has the error where the view could not
// come so far in time: then it is what the view knew, or that this door has accepted it. `door` has a view.
struct KnownReceipt {
  Result<void> applied;
  Result<std::optional<Receipt>> receipt;
};
Task<KnownReceipt> find_receipt(FeedbackDoor& door, std::string_view assessment_id);

// The trace that the target names, as far as this door can know now.
std::optional<std::string> known_trace(FeedbackDoor& door, const Target& target);

// The same of each, where it may be spoken of: 404 of one that was deleted, as far as this door can know now; and of
// one that surely nobody knows, where the door was told to reject these.
using TraceOfTarget = Result<std::optional<std::string>, Rejection>;
Task<std::vector<TraceOfTarget>> find_traces(FeedbackDoor& door, std::vector<Target> targets);

struct Accepted {
  Appended appended;
  std::optional<std::string> trace;  // of a create: what find_traces() knows
  // The client's Prefer: wait=N (RFC 7240), where the door has a view: that has applied it, within N seconds.
  std::optional<std::chrono::seconds> waited;
};

// Appends it, and counts it. The error is the answer that says why it is not accepted: 404 as find_traces() for a
// create, 422 where its key was used with another body, 5xx.
Task<Result<Accepted, Response>> accept(FeedbackDoor& door, const Request& request, const FeedbackRecord& feedback);

// {"status":"success","trace_id",…} or {"status":"accepted", the target, …}; `more` are further members.
Response accepted_response(FeedbackDoor& door, const Target& target, const Accepted& accepted, const std::string& more);

}  // namespace assay
