#pragma once
// What waits for what on its way into MLflow, and whose turn it is. Of MLflow it only knows what it is told: pure, but
// for the clock.
//
// Work is kept in lanes, one a trace: first what is known of the trace, then its assessments in their order. Lanes are
// independent of each other. An assessment whose trace MLflow does not know waits in its lane, and a change for its
// create, until that comes; it is tried again by time too, because a trace may reach MLflow past us, and after wait_max
// it is a dead letter. Of one id for two traces MLflow keeps the one that it is told first: the second create comes
// into its lane when the first has ended, or begins to wait.
//
// What waits has a bound, of traces and of assessments each. Traces over it are dead letters at once, the oldest first.
// Assessments over it are not read on while the trace that they wait for may still stand in the log unread; those for
// which it can't are dead letters.
#include <deque>
#include <list>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ops/runtime/clock.hpp"
#include "storage/log/event_source.hpp"
#include "storage/sinks/mlflow_rest_config.hpp"
#include "storage/sinks/mlflow_rest_job.hpp"

namespace assay {

namespace mlflow {

using Jobs = std::list<Job>;

struct Lane {
  Jobs traces, assessments;
  int tries = 0;                         // since it began to wait
  std::optional<Instant> retry_at = {};  // it waits
  std::string waits_why = {};
  bool soon = false;  // then it is no retry: it takes its turn among what is new
  bool queued = false;
  bool untagged = false;  // assessments were committed since the tag was set
  Trouble tagging = {};
  bool unanswered = false;  // something in it waits, at which MLflow breaks or gives no answer of its own

  Jobs& jobs(Stream stream) { return stream == Stream::traces ? traces : assessments; }
  // What its traces' records say, together.
  TraceNews news() const;
  bool is_done() const { return traces.empty() && assessments.empty() && !untagged; }
  void come_soon(Instant at) {
    retry_at = at;
    soon = true;
  }
  // Something of it has ended.
  void progressed() { tries = 0; }
};

// Since then; from now on, where the clock was set back.
std::chrono::milliseconds age(Instant& since, Instant now);

}  // namespace mlflow

class MlflowLanes {
 public:
  using Job = mlflow::Job;
  using Jobs = mlflow::Jobs;
  using Lane = mlflow::Lane;
  // Jobs in lanes, and behind a create that another lane is about to say.
  struct Kept {
    std::size_t records = 0, bytes = 0;
    void add(const Job& job);
    void remove(const Job& job);
  };

  // Both outlive it.
  MlflowLanes(const MlflowSinkConfig& config, const Clock& clock) : config_(config), clock_(clock) {}

  // Into its lane, or behind the create of its id that another lane is about to say.
  void add(const std::string& trace_id, Job job);
  // It has ended. The one behind it.
  Jobs::iterator end(const std::string& trace_id, Lane& lane, Jobs::iterator at);
  // What becomes of a record that has to wait: in the end a dead letter. Not where MLflow did not answer it, and has
  // taken nothing since then (`taken_at`): that is its own trouble. What has not to wait stays what it is.
  mlflow::Outcome wait(const std::string& trace_id, Lane& lane, Job& job, const mlflow::Written& said,
                       Instant taken_at);

  // Whose turn it is. A lane stays where it is until it is settled, or emptied and dropped.
  std::size_t ready() const { return ready_.size(); }
  std::string take_next();  // of those that are ready: there is one
  Lane& at(const std::string& trace_id) { return lanes_.at(trace_id); }
  // After its turn: gone when it is empty, back in the row after a failure that all have, otherwise it waits, at least
  // for the next turn.
  void settle(const std::string& trace_id, bool failed);

  // What waits and is due, what was due first at first; of what MLflow does not answer a few only: it may take long.
  // What comes soon is ready now.
  std::vector<std::string> find_due();
  // A turn of those, after which what was not reached waits on. The next one is three times as long after it.
  void begin_retries(std::vector<std::string> due);
  void end_retries(Instant begun);

  bool is_full(Stream stream, double share = 1) const;
  // How far the traces were read that came with this partition; and whether all that the log has.
  void traces_were_read_to(Partition partition, Instant accepted_at) { traces_to_[partition] = accepted_at; }
  void set_all_traces_are_read(bool all) { traces_are_read_ = all; }
  struct Waiting {
    Instant since;
    const std::string* trace_id;
    Lane* lane;
    Jobs::iterator job;
  };
  // What may be given up to make room, the oldest first.
  std::vector<Waiting> longest_waiting(Stream stream, Instant taken_at);
  void drop_done(const std::set<std::string>& trace_ids);

  bool has(const std::string& trace_id) const { return lanes_.contains(trace_id); }
  const Kept& kept(Stream stream) const { return stream == Stream::traces ? kept_traces_ : kept_assessments_; }
  std::int64_t waiting() const;  // assessments in lanes that wait

 private:
  // A create that is about to be said, and the later ones of its id for other traces, with these.
  struct FirstCreate {
    std::string trace_id;
    std::deque<std::pair<std::string, Job>> behind = {};
  };
  void place(const std::string& trace_id, Job job);
  void let_next_in(const std::string& trace_id, const Job& job);
  void make_ready(const std::string& trace_id, Lane& lane);
  bool may_come(const Lane& lane, Job& job, Instant taken_at) const;
  Kept& kept_of(Stream stream) { return stream == Stream::traces ? kept_traces_ : kept_assessments_; }

  const MlflowSinkConfig& config_;
  const Clock& clock_;
  std::unordered_map<std::string, Lane> lanes_;
  std::deque<std::string> ready_;
  std::unordered_map<std::string, FirstCreate> creates_;  // by assessment_id
  Kept kept_traces_, kept_assessments_;
  std::map<Partition, Instant> traces_to_;  // when the last trace of each that was read was accepted
  bool traces_are_read_ = false;
  Instant retries_at_{};  // the next turn of theirs
};

}  // namespace assay
