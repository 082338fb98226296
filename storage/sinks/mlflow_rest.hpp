#pragma once
// A real MLflow server as a sink, by REST. Data flows one way: this reads the records, marks what order needs
// remembered (SinkMarks), and puts what there is to be said into lanes (MlflowLanes: what waits for what, and whose
// turn it is); the runner says it, several lanes side by side (MlflowRunner, which says each by MlflowWriter: what is
// said of one record, and what MLflow's answers mean); and what has ended ends here, as a dead letter or not, in the
// positions and the ledger (SinkPlaces). The position is that of the oldest record that has not ended: what waits is
// read again after a restart.
//
// What was deleted and what was said last is marked on this machine before it is said, so that the order of records
// does not matter: of two changes of a field the one accepted last wins, and nothing deleted comes back. Where another
// worker had the partition before, the marks are made anew from the log: records before the position are read for them
// alone, and not said again. What is known of a trace that was given up stays marked, so that a later record of it says
// all.
#include <atomic>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ops/runtime/clock.hpp"
#include "ops/runtime/gauge_part.hpp"
#include "ops/runtime/metrics.hpp"
#include "storage/records/dead_letter_record.hpp"
#include "storage/records/trace_record.hpp"
#include "storage/sinks/assessment_sink.hpp"
#include "storage/sinks/mlflow_rest_config.hpp"
#include "storage/sinks/mlflow_rest_lanes.hpp"
#include "storage/sinks/mlflow_rest_runner.hpp"
#include "storage/sinks/mlflow_spans.hpp"
#include "storage/sinks/positions.hpp"
#include "storage/sinks/sink_marks.hpp"
#include "storage/sinks/sink_places.hpp"

namespace assay {

class MlflowSink final : public AssessmentSink {
 public:
  // Appends a dead letter, durably; on an error the record stays and is tried again.
  using WriteDeadLetter = std::function<Result<void>(DeadLetter)>;
  // `local`: where the marks are kept.
  MlflowSink(MlflowSinkConfig config, PositionStore& positions, KeyValue& local, WriteDeadLetter write_dead_letter,
             const Clock& clock, Metrics& metrics);
  ~MlflowSink() override;

  std::string_view name() const override { return "mlflow"; }
  std::vector<Stream> follows() const override { return {Stream::traces, Stream::assessments}; }
  Result<Offset> position(StreamPartition of) override;
  Result<void> apply(std::span<const LogRecord> records) override;
  Offset applied(StreamPartition of) const override { return places_.position(of); }
  Offset tried(StreamPartition of) const override { return places_.tried(of); }
  bool has(StreamPartition of, Offset offset) const override { return places_.has(of, offset); }
  Result<void> start_over() override;
  bool takes(Stream stream) const override { return !lanes_.is_full(stream); }
  void all_read(Stream stream) override {
    if (stream == Stream::traces) lanes_.set_all_traces_are_read(true);
  }
  void stop() override { runner_.stop(); }
  SinkLedger ledger() const override { return places_.ledger(); }
  std::int64_t unfinished() const override { return places_.unfinished(); }
  // Assessments that wait for their trace, and changes for their create. Thread-safe.
  std::int64_t waiting() const { return waiting_.load(std::memory_order_relaxed); }

 private:
  // A record as it comes: what there is to be done, and what of it the marks are told.
  struct Taken {
    std::string trace_id;
    mlflow::Job job;
    std::optional<TraceRecord> trace = {};  // of that stream
  };
  Result<void> take(const LogRecord& record);
  static Result<Taken, Malformed> read(const LogRecord& record);
  Result<SinkMarks::Taken> mark(const Taken& taken);
  Result<void> end(const std::string& trace_id, const mlflow::Lane& lane, const mlflow::Job& job,
                   const mlflow::Written& how);
  DeadLetter letter_of(const std::string& trace_id, const mlflow::Lane& lane, const mlflow::Job& job,
                       const std::string& why) const;
  void add_known(TraceRecord& trace, bool all) const;
  Result<void> make_room(Stream stream);
  void tell_what_is_kept();
  Result<void> save();

  const MlflowSinkConfig config_;
  PositionStore& positions_;
  SinkMarks marks_;
  MlflowSpans spans_;
  Instant oldest_;  // accepted_at, of the records that came last: what is read late is not pruned
  const WriteDeadLetter write_dead_letter_;
  const Clock& clock_;
  SinkPlaces places_;
  std::atomic<std::int64_t> waiting_{0};

  GaugePart waiting_gauge_;
  GaugePart kept_gauge_, kept_bytes_gauge_;
  Counter& refused_total_;

  MlflowLanes lanes_;
  MlflowRunner runner_;
};

}  // namespace assay
