#pragma once
// A real MLflow server as a sink, by REST. Assessments keep their own ids, so that saying one twice is harmless: where
// MLflow answers 500 "constraint violation", a GET of that id decides.
//
// Work is kept in lanes, one a trace: first what is known of the trace, then its assessments in their order. Lanes run
// side by side, as many as do the server good. An assessment whose trace MLflow does not know waits in its lane, and a
// change for its create, until that comes; it is tried again by time too, because a trace may reach MLflow past us, and
// after wait_max it is a dead letter. The position is that of the oldest record that is not finished: what waits is
// read again after a restart. Of one id for two traces MLflow keeps the one that it is told first: the second create
// comes into its lane when the first is finished, or begins to wait.
//
// What waits has a bound, of traces and of assessments each. Traces over it are dead letters at once, the oldest first;
// what is known of them stays marked, so that a later record of theirs says all of it. Assessments over it are not read
// on while the trace that they wait for may still stand in the log unread; those for which it can't are dead letters.
// Trying them again takes no more than a quarter of the time, so that what MLflow can take is not kept waiting.
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
#include <list>
#include <map>
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
#include "storage/sinks/mlflow_json.hpp"
#include "storage/sinks/mlflow_spans.hpp"
#include "storage/sinks/positions.hpp"
#include "storage/sinks/sink_marks.hpp"
#include "storage/sinks/sink_places.hpp"

namespace assay {

struct MlflowSinkConfig {
  MlflowConfig mlflow;
  std::size_t requests_max = 64;     // in flight; how many it is adapts below that
  std::size_t records_max = 20'000;  // kept of traces, and of assessments: what waits, and one batch over it
  std::size_t bytes_max = 64 << 20;  // the same
  std::chrono::milliseconds full_after{30'000};  // an assessment has waited, before it makes room for others
  std::chrono::milliseconds wait_max = std::chrono::hours(24);
  std::chrono::milliseconds retry_first{1'000}, retry_max{60'000};  // of what waits
  std::chrono::milliseconds retries_for{250};                       // at once; three times that is for what is new
  std::size_t retries_at_once = 4;                                  // in flight
  bool tag_traces = true;                                           // keep the tag assay.feedback
  // What is remembered of a trace, after the last of it: as long as a late record may still come.
  std::chrono::milliseconds marks_max = std::chrono::hours(30 * 24);
  // Of a record at which MLflow breaks: it is given up after so many times and so long.
  int breaks_max = 5;
  std::chrono::milliseconds break_max{30'000};
  // Of a record that MLflow does not answer: when it waits alone. With more new ones in one turn it is MLflow's
  // trouble; no more of those that wait are tried again in one.
  std::chrono::milliseconds unanswered_after{5'000};
  std::size_t unanswered_max = 16;
  MlflowSpansLimits spans;
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
  Offset applied(StreamPartition of) const override { return places_.position(of); }
  bool has(StreamPartition of, Offset offset) const override { return places_.has(of, offset); }
  bool takes(Stream stream) const override { return !is_full(stream, 1); }
  void all_read(Stream stream) override { traces_are_read_ |= stream == Stream::traces; }
  void stop() override;
  SinkLedger ledger() const override { return places_.ledger(); }
  std::int64_t unfinished() const override { return places_.unfinished(); }
  // Assessments that wait for their trace, and changes for their create. Thread-safe.
  std::int64_t waiting() const { return waiting_.load(std::memory_order_relaxed); }

 private:
  // What the marks do not say of a trace's record.
  struct TraceNews {
    bool deleted = false;
    std::vector<std::string> removed_tags = {};
    std::vector<std::string> spans = {};  // their ids
  };
  struct Job {
    StreamPartition of;
    Offset offset;
    std::variant<TraceNews, AssessmentRecord> record;
    std::optional<Instant> waits_since = {};
    std::size_t bytes() const;
  };
  // A record as it comes: what there is to be done, and what of it the marks are told.
  struct Taken {
    std::string trace_id;
    Job job;
    std::optional<TraceRecord> trace = {};  // of that stream
  };
  struct Lane {
    std::list<Job> traces, assessments;
    int tries = 0;                         // since it began to wait
    std::optional<Instant> retry_at = {};  // it waits
    std::string waits_why = {};
    bool soon = false;  // then it is no retry: it takes its turn among what is new
    bool queued = false;
    bool untagged = false;    // assessments were committed since the tag was set
    int breaks = 0;           // how often MLflow failed at it and answered others, since something of it was taken
    Instant broke_at = {};    // the first time
    bool unanswered = false;  // something in it waits, at which MLflow gives no answer of its own
    bool is_done() const { return traces.empty() && assessments.empty() && !untagged; }
    // Something of it has ended.
    void progressed() {
      tries = breaks = 0;
      unanswered = false;
    }
  };
  // Jobs in lanes, and behind a create that another lane is about to say.
  struct Kept {
    std::size_t records = 0, bytes = 0;
    void add(const Job& job) {
      ++records;
      bytes += job.bytes();
    }
    void remove(const Job& job) {
      --records;
      bytes -= job.bytes();
    }
  };
  // Once over the lanes that are ready: those of what is new, or retries.
  struct Turn {
    std::optional<Instant> until = {};  // none: to their end; retries no longer than this
    error_code failure = {};            // it ends
    bool repeat = false;                // something failed by itself: the same again, soon
    std::size_t failed_beside = 0;      // how much of it that did not wait before
    bool is_of_retries() const { return until.has_value(); }
  };
  // A create that is about to be said, and the later ones of its id for other traces, with these.
  struct FirstCreate {
    std::string trace_id;
    std::deque<std::pair<std::string, Job>> behind = {};
  };
  // silent: no answer of MLflow's own; unanswered: such a record, which waits beside others that go on; gathers: its
  // spans were said a moment ago.
  enum class Outcome { applied, duplicate, dead, waits, unanswered, again, broke, silent, gathers };

  // Once over a lane's assessments. failed: MLflow did; again: a create came of which a change before it waits.
  enum class Round { done, again, failed };
  static bool has_failed(Outcome done) { return done == Outcome::broke || done == Outcome::silent; }
  static bool has_to_wait(Outcome done) { return done == Outcome::waits || done == Outcome::unanswered; }

  // mlflow_rest.cpp: what comes in, and what ends.
  Result<void> take(const LogRecord& record);
  static Result<Taken, Malformed> read(const LogRecord& record);
  Result<void> mark(const Taken& taken);
  void place(const std::string& trace_id, Job job);
  void let_next_in(const std::string& trace_id, const Job& job);
  Kept& kept(Stream stream) { return stream == Stream::traces ? kept_traces_ : kept_assessments_; }
  bool finish(const std::string& trace_id, const Lane& lane, const Job& job, Outcome done, const std::string& why);
  DeadLetter letter_of(const std::string& trace_id, const Lane& lane, const Job& job, const std::string& why) const;
  void add_known(TraceRecord& trace, bool all) const;
  void tell_what_is_kept();
  Result<void> save();

  // mlflow_rest_lanes.cpp: which lane has its turn, what waits and for how long.
  void make_ready(const std::string& trace_id, Lane& lane);
  std::vector<std::string> find_due();
  Result<void> run_ready(std::optional<Instant> until = {});
  Result<void> run_retries(std::vector<std::string> due);
  void add_workers();
  Task<void> work();
  void settle(const std::string& trace_id);
  Task<void> run(const std::string& trace_id, Lane& lane);
  Task<bool> run_traces(const std::string& trace_id, Lane& lane);
  Task<Round> run_assessments(const std::string& trace_id, Lane& lane);
  Outcome while_waiting(const std::string& trace_id, Lane& lane, Job& job, Outcome done, const std::string& why);
  std::chrono::milliseconds age(Instant& since) const;
  bool is_full(Stream stream, double share) const;
  bool may_come(const Lane& lane, Job& job) const;
  Result<void> make_room(Stream stream);

  // mlflow_rest_write.cpp: what is said of one trace or one assessment, and what the answers mean.
  Task<Outcome> write_trace(const std::string& trace_id, const Lane& lane, std::string& why);
  Task<Outcome> write_tags(const std::string& trace_id, const Lane& lane, bool its_name, std::string& why);
  // A trace as MLflow was told of it, and what follows.
  struct Started {
    std::string trace_id, experiment_id = {}, request = {};  // request: of StartTraceV3
    mlflow::TraceTimes times;
    MlflowSpans::Artifact spans = {};
    std::set<std::string> news = {};  // the ids of the spans that came
    bool final = false;
    bool anothers = false;  // who told it to MLflow, past us: that stands
  };
  Task<Outcome> start(const std::string& trace_id, const Lane& lane, TraceRow row, std::string& why);
  Task<Outcome> write_spans(Started& trace, std::string& why);
  Task<std::optional<Outcome>> send_spans(const Started& trace, MlflowVersion version, std::string& why);
  Task<Outcome> put_artifact(Started& trace, std::string& why);
  Task<Outcome> erase(const std::string& trace_id, std::string& why);
  Task<Outcome> write(const AssessmentRecord& record, std::string& why);
  Task<Outcome> create(const AssessmentRecord& record, std::string& why);
  Task<Outcome> change(const AssessmentRecord& record, std::string& why);
  Task<void> tag(const std::string& trace_id, Lane& lane);
  Outcome judge(const MlflowAnswer& answer, std::string& why);
  Task<Outcome> ask_beside(Lane& lane, Outcome failed, bool waits, const std::string& why);
  Outcome unavailable(const std::string& why);
  Outcome local_failure(error_code ec);

  const MlflowSinkConfig config_;
  PositionStore& positions_;
  SinkMarks marks_;
  MlflowSpans spans_;
  Instant oldest_;  // accepted_at, of the records that came last: what is read late is not pruned
  const WriteDeadLetter write_dead_letter_;
  const Clock& clock_;

  std::unordered_map<std::string, Lane> lanes_;
  std::deque<std::string> ready_;
  std::unordered_map<std::string, FirstCreate> creates_;  // by assessment_id
  Kept kept_traces_, kept_assessments_;
  std::map<Partition, Instant> traces_to_;  // when the last trace of each that was read was accepted
  bool traces_are_read_ = false;            // all that the log had before this apply()
  Turn turn_;
  Instant retries_at_{};  // the next turn of theirs
  Instant taken_at_{};    // when MLflow last took something
  bool spans_refused_ = false;
  std::size_t running_ = 0;
  SinkPlaces places_;
  std::atomic<std::int64_t> waiting_{0};
  std::atomic<bool> stopped_{false};

  GaugePart waiting_gauge_;
  GaugePart kept_gauge_, kept_bytes_gauge_;
  Counter& refused_total_;

  IoContext context_{1};
  std::vector<std::unique_ptr<asio::cancellation_signal>> cancels_;  // one a worker
  std::vector<std::size_t> free_;                                    // those that nobody uses
  MlflowClient client_;                                              // before the context that its connections are on
};

}  // namespace assay
