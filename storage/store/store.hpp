#pragma once
// Reading the store: traces with their assessments, by id, time, name and client_request_id. It is written by the store
// sink alone (storage/sinks/store_sink.hpp). Thread-safe; a read sees some whole number of the sink's writes for each
// key it touches.
#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/state/key_value.hpp"
#include "storage/store/assessment_row.hpp"
#include "storage/store/keys.hpp"
#include "storage/store/trace_row.hpp"

namespace assay {

// Of a question with a yes or a no: why there is no answer. (An error_code says yes or no itself.)
inline Result<bool> no_answer(error_code ec) { return {boost::system::in_place_error, ec}; }

class Store {
 public:
  // `kv` must outlive it.
  explicit Store(const KeyValue& kv) : kv_(kv) {}

  using Located = store_keys::Located;
  // Where an assessment is; none: the store has not heard of it.
  Result<std::optional<Located>> locate(std::string_view assessment_id) const;

  struct Assessment {
    std::string id;
    AssessmentRow row;
    std::int64_t created_at = 0;
    bool valid = true;  // false: another one of the same trace, not deleted, overrides it
  };
  Result<std::optional<Assessment>> find(std::string_view assessment_id) const;
  // Of one trace, the first made first.
  Result<std::vector<Assessment>> assessments_of(std::string_view trace_id) const;

  // MLflow's JSON, changes folded in; none: unknown or deleted.
  Result<std::optional<std::string>> assessment(std::string_view assessment_id) const;
  // MLflow's trace_info with tags (assay.feedback among them) and assessments; none: unknown or deleted.
  Result<std::optional<std::string>> trace_info(std::string_view trace_id) const;
  // A JSON list of the spans known, by span_id.
  Result<std::string> spans(std::string_view trace_id) const;
  Result<bool> has_spans(std::string_view trace_id) const;
  Result<std::optional<TraceRow>> trace(std::string_view trace_id) const;
  Result<bool> deleted(std::string_view trace_id) const;

  // The traces of an experiment with from <= request_time < to, the oldest first; or the newest first. `visit` returns
  // false to end it.
  using VisitTrace = std::function<bool(std::string_view trace_id, Instant request_time)>;
  Result<void> traces_of_experiment(std::string_view experiment_id, Instant from, Instant to,
                                    const VisitTrace& visit) const;

 private:
  Result<bool> overrides_nothing(std::string_view trace_id) const;

  const KeyValue& kv_;
  mutable std::atomic<bool> any_deleted_{false};
};

// The value of the tag assay.feedback (feedback_tag.hpp).
std::string feedback_tag(const std::vector<Store::Assessment>& assessments);

}  // namespace assay
