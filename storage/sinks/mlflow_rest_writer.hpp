#pragma once
// What is said to an MLflow server of one trace or one assessment, and what its answers mean for that. It knows of no
// other record and of no order: who asks it to write has that.
//
// Assessments keep their own ids, so that saying one twice is harmless: where MLflow answers 500 "constraint
// violation", a GET of that id decides. Of a trace all that is known is said at once, whatever its records added.
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>

#include "ops/runtime/clock.hpp"
#include "storage/records/assessment_record.hpp"
#include "storage/sinks/mlflow_client.hpp"
#include "storage/sinks/mlflow_json.hpp"
#include "storage/sinks/mlflow_rest_config.hpp"
#include "storage/sinks/mlflow_rest_job.hpp"
#include "storage/sinks/mlflow_spans.hpp"
#include "storage/sinks/sink_marks.hpp"

namespace assay {

// One thread. What is passed by reference to a task outlives it.
class MlflowWriter {
 public:
  using Outcome = mlflow::Outcome;
  using Written = mlflow::Written;
  // `marks`: what is known of traces and of what was deleted. All outlive the writer.
  MlflowWriter(const MlflowSinkConfig& config, const SinkMarks& marks, MlflowSpans& spans, const Clock& clock);

  // How many at once do the server good.
  std::size_t concurrency() const { return client_.concurrency(); }

  // `news`: of all its records that have not ended; asked for where anything is said.
  using News = std::function<mlflow::TraceNews()>;
  Task<Written> write_trace(const std::string& trace_id, const News& news);
  Task<Written> write(const AssessmentRecord& record);
  // The tag assay.feedback, of the assessments that MLflow has of it by now.
  Task<Written> tag(const std::string& trace_id);

  // Whether MLflow answers what its database is asked, whatever becomes of one record.
  Task<bool> answers();
  // When MLflow last took something.
  Instant taken_at() const { return taken_at_; }

 private:
  // A trace as MLflow was told of it, and what follows.
  struct Started {
    std::string trace_id, experiment_id = {}, request = {};  // request: of StartTraceV3
    mlflow::TraceTimes times;
    MlflowSpans::Artifact spans = {};
    std::set<std::string> news = {};  // the ids of the spans that came
    bool final = false;
    bool anothers = false;  // who told it to MLflow, past us: that stands
  };
  Task<Written> start(const std::string& trace_id, const mlflow::TraceNews& news, TraceRow row);
  Task<Written> write_tags(const std::string& trace_id, const mlflow::TraceNews& news, bool its_name);
  Task<Written> write_spans(Started& trace);
  Task<std::optional<Written>> send_spans(const Started& trace, MlflowVersion version);
  Task<Written> put_artifact(Started& trace);
  Task<Written> erase(const std::string& trace_id);
  Task<Written> create(const AssessmentRecord& record);
  Task<Written> change(const AssessmentRecord& record);
  Task<Written> erase(const AssessmentRecord& record);
  void remember(const std::string& assessment_id, const std::map<std::string, AssessmentRow::Register>& changes);
  Written judge(const MlflowAnswer& answer);
  std::optional<mlflow::SeenTrace> seen(std::string_view body) const;
  void remember_said(const std::string& trace_id, const TraceRow& row, const mlflow::TraceTimes& times);
  bool is_as_said(const mlflow::SeenTrace& seen, const std::string& trace_id, const TraceRow& row,
                  const mlflow::TraceTimes& times) const;

  const MlflowSinkConfig& config_;
  const SinkMarks& marks_;
  MlflowSpans& spans_;
  const Clock& clock_;
  MlflowClient client_;
  Instant taken_at_{};
  // What a trace began with, and its name, when we last told MLflow of it: what was told before this process may be
  // taken for another's once both have changed.
  struct Said {
    std::optional<std::int64_t> begin_ms;
    std::string name;
  };
  std::unordered_map<std::string, Said> said_;
  bool spans_refused_ = false;
  std::map<std::string, std::map<std::string, Stamp>> said_with_create_;  // changes, by assessment and field
};

}  // namespace assay
