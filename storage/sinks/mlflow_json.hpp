#pragma once
// What is said to an MLflow server and heard from it, as text in and text out. It takes protobuf's JSON with snake_case
// names; see each function for the request it is the body of.
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "storage/records/assessment_record.hpp"
#include "storage/records/trace_record.hpp"
#include "storage/sinks/mlflow_experiment.hpp"

namespace assay::mlflow {

inline constexpr std::size_t client_request_id_max = 50;  // characters of its column; more refuse the whole trace
inline constexpr std::string_view long_request_id = "assay.client_request_id";  // the metadata that then keeps it

// What of a trace record decides how it is said.
struct TraceFacts {
  bool located = false;  // it can be started; otherwise only its tags are said
  ExperimentRef experiment;
  bool final = false;  // OK or ERROR
};
// Whether a trace can stand in a real MLflow: it says where it belongs, or that it has ended; then it belongs to the
// default experiment. Tags or spans alone may be of a trace that MLflow was told of past us.
bool is_located(bool has_location, std::string_view state);
// `info`: a trace_info.
TraceFacts facts_of(std::string_view info);

// Of a trace_info: what it says of its time.
struct TraceTimes {
  std::optional<std::int64_t> begin_ms, end_ms;
  // What MLflow would make of them of spans from `first_ms` to `last_ms`.
  bool are_moved_by(std::int64_t first_ms, std::int64_t last_ms) const;
};
TraceTimes times_of(std::string_view info);

// POST /api/3.0/mlflow/traces. In the experiment given; without assessments; `tag` is the value of assay.feedback,
// where not empty.
std::string start_trace(std::string_view info, std::string_view experiment_id, std::string_view tag);
inline constexpr std::string_view trace_name_tag = "mlflow.traceName";
// The tags of a trace_info, each as the body of PATCH /api/2.0/mlflow/traces/{id}/tags; those that are null are left
// out.
std::vector<std::string> tag_bodies(std::string_view info);
std::string key_of_tag_body(std::string_view body);
// DELETE of the same
std::string untag_body(std::string_view key);
std::string tag_body(std::string_view key, std::string_view value);

// POST …/traces/{id}/assessments; of one whose overridden one is `gone`, for which MLflow would wait, without its name.
std::string create_assessment(const AssessmentRecord& record, bool gone);
// The assessment_id that it takes the place of; empty: none.
std::string overridden_by(const AssessmentRecord& record);
// PATCH …/assessments/{id}: with the mask of what the change names and `wins` keeps, asked by the paths of an
// AssessmentRow; none: nothing is left.
std::optional<std::string> update_assessment(const AssessmentRecord& record,
                                             const std::function<bool(const std::string& path)>& wins);
// DELETE …/assessments/{id}
std::string delete_assessment(const AssessmentRecord& record);
// POST /api/2.0/mlflow/traces/delete-traces
std::string delete_trace(std::string_view experiment_id, std::string_view trace_id);

// From the answer of GET /api/3.0/mlflow/traces/{id}: among it the value that the tag assay.feedback should have, and
// has.
struct SeenTrace {
  std::string experiment_id;
  std::string wanted_tag;  // empty: none
  std::optional<std::string> tag;
  std::string name;
  TraceTimes times;
};
// `changed_at`: when an assessment was changed by us, none: it was not, as far as is known. By REST MLflow gives a
// change the time at which it hears of it.
using ChangedAt = std::function<std::optional<Instant>(const std::string& assessment_id)>;
std::optional<SeenTrace> seen_trace(std::string_view body, const ChangedAt& changed_at);
// From the answer of experiments/get-by-name and experiments/create.
std::optional<std::string> experiment_id_of(std::string_view body);

// MLflow's error JSON.
struct Failure {
  std::string code, message;
};
Failure failure_of(std::string_view body);

// The change or create as a feedback record of one item, for a dead letter that can be replayed.
FeedbackRecord feedback_of(const AssessmentRecord& record);

}  // namespace assay::mlflow
