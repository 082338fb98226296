#pragma once
// A real MLflow server as a sink, by REST. Assessments keep their own ids, so that saying one twice is harmless: where
// MLflow answers 500 "constraint violation", a GET of that id decides.
//
// Work is kept in lanes, one a trace: first what is known of the trace, then its assessments in their order. Lanes run
// side by side, as many as do the server good. An assessment whose trace MLflow does not know waits in its lane, and a
// change for its create, until that comes; it is tried again by time too, because a trace may reach MLflow past us, and
// after wait_max it is a dead letter. The position is that of the oldest record that is not finished: what waits is
// read again after a restart.
//
// What was deleted and what was said last is marked on this machine before it is said (SinkMarks), so that the order of
// records does not matter: of two changes of a field the one accepted last wins, and nothing deleted comes back. Where
// another worker had the partition before, the marks are made anew from the log: records before the position are read
// for them alone, and not said again.
//
// MLflow away or overloaded: apply() fails, everything stays, the log holds the backlog. Where it is there, answers
// other questions and fails at one and the same record, the others go on. If it breaks there (a 500 in its own words),
// that record becomes a dead letter; if it gives no answer of its own (too slow, a proxy's 502 or 403), the record
// waits alone, and is a dead letter after wait_max, where MLflow has taken others meanwhile.
#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>
#include <variant>

#include "ops/runtime/clock.hpp"
#include "ops/runtime/gauge_part.hpp"
#include "ops/runtime/metrics.hpp"
#include "storage/records/assessment_record.hpp"
#include "storage/records/dead_letter_record.hpp"
#include "storage/records/trace_record.hpp"
#include "storage/sinks/assessment_sink.hpp"
#include "storage/sinks/mlflow_client.hpp"
#include "storage/sinks/positions.hpp"
#include "storage/sinks/sink_marks.hpp"

namespace assay {

struct MlflowSinkConfig {
  MlflowConfig mlflow;
  std::size_t requests_max = 64;     // in flight; how many it is adapts below that
  std::size_t records_max = 20'000;  // kept: what waits, and one batch over it
  std::chrono::milliseconds wait_max = std::chrono::hours(24);
  std::chrono::milliseconds retry_first{1'000}, retry_max{60'000};  // of what waits
  bool tag_traces = true;                                           // keep the tag assay.feedback
  // What is remembered of a trace, after the last of it: as long as a late record may still come.
  std::chrono::milliseconds marks_max = std::chrono::hours(30 * 24);
  // Of a record at which MLflow breaks: it is given up after so many times and so long.
  int breaks_max = 5;
  std::chrono::milliseconds break_max{30'000};
  // Of a record that MLflow does not answer: when it waits alone. With more new ones in one turn it is MLflow's
  // trouble; no more of those that wait are tried again in one.
  std::chrono::milliseconds alone_after{5'000};
  std::size_t alone_max = 16;
};

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
  Offset applied(StreamPartition of) const override;
  bool has(StreamPartition of, Offset offset) const override;
  bool takes(Stream stream) const override { return stream == Stream::traces || kept_ < config_.records_max; }
  void stop() override;
  SinkLedger ledger() const override;
  // Assessments that wait for their trace, and changes for their create. Thread-safe.
  std::int64_t waiting() const { return waiting_.load(std::memory_order_relaxed); }

 private:
  struct Job {
    StreamPartition of;
    Offset offset;
    std::variant<TraceRecord, AssessmentRecord> record;
    std::optional<Instant> waits_since = {};
    std::string waits_why = {};
  };
  struct Lane {
    std::deque<Job> traces, assessments;
    int tries = 0;                         // since it began to wait
    std::optional<Instant> retry_at = {};  // it waits
    bool queued = false;
    bool untagged = false;  // assessments were committed since the tag was set
    int breaks = 0;         // how often MLflow failed at it and answered others, since something of it was taken
    Instant broke_at = {};  // the first time
    bool alone = false;     // something in it waits for no answer of MLflow's
  };
  struct PartitionProgress {
    Offset read_to = 0, saved = 0;
    Offset begin = 0;  // what is before it is read for the marks only
    std::set<Offset> unfinished;
    Offset position() const { return std::max(begin, unfinished.empty() ? read_to : *unfinished.begin()); }
  };
  // silent: no answer of MLflow's own; alone: such a record, which waits beside others that go on.
  enum class Outcome { applied, duplicate, dead, waits, alone, again, broke, silent };

  Result<void> take(const LogRecord& record);
  void make_ready(const std::string& trace_id, Lane& lane);
  Result<void> run_ready();
  void add_workers();
  Task<void> work();
  Task<void> run(const std::string& trace_id, Lane& lane);
  Task<bool> run_traces(const std::string& trace_id, Lane& lane);
  Task<Outcome> write_trace(const std::string& trace_id, const Lane& lane, std::string& why);
  Task<Outcome> write_tags(const std::string& trace_id, const Lane& lane, std::string& why);
  Task<Outcome> start(const std::string& trace_id, TraceRow row, std::string& why);
  Task<Outcome> erase(const std::string& trace_id, std::string& why);
  Task<Outcome> write(const AssessmentRecord& record, std::string& why);
  Task<Outcome> create(const AssessmentRecord& record, std::string& why);
  Task<Outcome> change(const AssessmentRecord& record, std::string& why);
  Outcome local_failure(error_code ec);
  Task<void> tag(const std::string& trace_id, Lane& lane);
  Outcome judge(const MlflowAnswer& answer, std::string& why);
  Task<Outcome> ask_beside(Lane& lane, Outcome failed, bool waits, const std::string& why);
  Outcome unavailable(const std::string& why);
  void progressed(Lane& lane) {
    lane.tries = lane.breaks = 0;
    lane.alone = false;
  }
  bool finish(const Job& job, Outcome done, const std::string& why);
  Outcome while_waiting(Job& job, Outcome done, const std::string& why);
  std::chrono::milliseconds age(Instant& since) const;
  Result<void> save();
  void settle(const std::string& trace_id);

  const MlflowSinkConfig config_;
  PositionStore& positions_;
  SinkMarks marks_;
  Instant oldest_;  // accepted_at, of the records that came last: what is read late is not pruned
  const WriteDeadLetter write_dead_letter_;
  const Clock& clock_;

  std::unordered_map<std::string, Lane> lanes_;
  std::deque<std::string> ready_;
  std::size_t kept_ = 0;   // jobs in lanes
  error_code failure_;     // of this apply(): it ends
  bool repeat_ = false;    // something in this apply() failed by itself: the same again, soon
  std::size_t alone_ = 0;  // how often that was, in this apply()
  Instant taken_at_{};     // when MLflow last took something
  bool spans_refused_ = false;
  std::size_t running_ = 0;
  mutable std::mutex mutex_;  // places_ and ledger_, which others ask for
  std::map<StreamPartition, PartitionProgress> places_;
  SinkLedger ledger_;
  std::atomic<std::int64_t> waiting_{0};
  std::atomic<bool> stopped_{false};

  GaugePart waiting_gauge_;
  GaugePart kept_gauge_;
  Counter& refused_total_;

  IoContext context_{1};
  std::vector<std::unique_ptr<asio::cancellation_signal>> cancels_;  // one a worker
  std::vector<std::size_t> free_;                                    // those that nobody uses
  MlflowClient client_;                                              // before the context that its connections are on
};

}  // namespace assay
