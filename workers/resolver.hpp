#pragma once
// What becomes of a batch of records: a plain function of the records, of what the state knew before them, and of the
// time. No input or output; the loop (partition_loop.hpp) fetches and commits.
//
// A Resolution is one atomic step under construction. What it decides is seen by what comes later in it. Order of
// calls: tell() for all requests records, then release(), decide(), expire(). What a call looks up must have been
// learnt before it: see Facts.
#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include "storage/log/step.hpp"
#include "storage/records/dead_letter_record.hpp"
#include "storage/records/feedback_record.hpp"
#include "storage/records/parked_record.hpp"
#include "storage/state/partition_state.hpp"
#include "workers/remains_book.hpp"

namespace assay {

struct ResolvePolicy {
  std::chrono::milliseconds park_max = std::chrono::hours(24);  // from the moment it is parked
  std::chrono::milliseconds dedupe_window = std::chrono::hours(24);
  // How long is remembered which dead letters an assessment has, and that it was taken back: as long as letters are
  // kept.
  std::chrono::milliseconds letters_max = std::chrono::hours(30 * 24);
  std::chrono::milliseconds request_retention{0};  // an id told longer ago is unknown again; 0: never
  // Whether a record whose ids are random may stand in the log twice: on Kafka a producer that takes over sends again
  // what was not acknowledged. Where it can't (embedded), only derived ids are looked up and remembered.
  bool log_repeats = true;
  std::size_t record_bytes_max = 1'000'000;  // what the log takes
  std::size_t outputs_max = 10'000;          // of one step, about: a record's items stay together
  std::size_t bytes_max = 4u << 20;          // of one step's outputs, the same
};

// One that is longer than the policy allows is malformed, too.
Result<FeedbackRecord, Malformed> read_feedback(const LogRecord& record, const ResolvePolicy& policy);

// A record of the requests stream; none: a tombstone.
struct IncomingRequest {
  std::string id;
  std::optional<std::string> trace_id;
  Instant told_at = {};  // zero: not known
};

// One that names no trace, and why.
struct UnreadableRequest {
  Offset offset = 0;
  std::string raw, reason;
};

// What was told before it counts as unknown at `now`.
inline Instant told_since(const ResolvePolicy& policy, Instant now) {
  return policy.request_retention.count() == 0 ? Instant::min() : now - policy.request_retention;
}

struct IncomingFeedback {
  Offset offset = 0;
  Result<FeedbackRecord, Malformed> record;
  std::string raw;  // the bytes, where they can't be read
};

// What the state knew before the step. An id that is not there counts as unknown; one that was learnt or decided
// already keeps what it has, so that learning later, in the same step, undoes no decision.
class Facts {
 public:
  template <class T>
  using Known = std::unordered_map<std::string, std::optional<T>>;

  void learn_trace(std::string id, std::optional<std::string> trace) {
    traces_.try_emplace(std::move(id), std::move(trace));
  }
  void learn_seen(std::string record_id, std::optional<Seen> seen) { seen_.try_emplace(std::move(record_id), seen); }
  void learn_parked(std::string record_id, std::optional<ParkedRecord> parked) {
    parked_.try_emplace(std::move(record_id), std::move(parked));
  }
  // The same, of what waits for an id that a delete is about: it is found by its assessment as well.
  void learn_waiting(ParkedRecord parked) {
    auto record_id = parked.item.record_id;
    parked_of_[parked.item.assessment_id].push_back(record_id);
    learn_parked(std::move(record_id), std::move(parked));
  }
  void learn_remains(const std::string& assessment_id, std::optional<Remains> remains) {
    remains_.learn(assessment_id, std::move(remains));
  }

 private:
  friend class Resolution;
  Known<std::string> traces_;
  Known<Seen> seen_;
  Known<ParkedRecord> parked_;
  std::unordered_map<std::string, std::vector<std::string>> parked_of_;  // assessment_id → record_ids, as far as learnt
  RemainsBook remains_;
};

// The ids that decide() will look up.
struct Needs {
  std::vector<std::string> traces, seen, parked, assessments;
  // Of deletes: what they are about, and the ids that more of that may wait for, beside the id that its create waits
  // for.
  std::set<std::string> erased, waiting;
};
void add_needs(const FeedbackRecord& record, const ResolvePolicy& policy, Needs& needs);

// What a step did, for the metrics. `forwarded` counts the released too; `dead` the letters. annulled: it ended, and
// nobody has lost anything. retold: an id that named another trace before.
struct ResolveCounts {
  std::int64_t feedback = 0, forwarded = 0, duplicate = 0, parked = 0, released = 0, expired = 0, dead = 0,
               annulled = 0, conflicts = 0, retold = 0;
};

class Resolution {
 public:
  // `before`: the state's meta. `now`: the time of all decisions.
  Resolution(Partition partition, const Meta& before, const ResolvePolicy& policy, Instant now);

  Facts& facts() { return facts_; }

  // The id names this trace from now on. The caller releases what waits for it. One that was told too long ago, and
  // stands in the log for that long, is unknown.
  void tell(const IncomingRequest& request);
  // A dead letter; no ledger counts it, since nothing was said in it.
  void malformed(const UnreadableRequest& request);
  // The requests stream has been read up to here.
  void requests_read(Offset position) { meta_.requests = position; }

  // The trace that the id names now, as far as learnt.
  std::optional<std::string> trace_of(const std::string& id) const;

  // Its id was told. Nothing where this step has ended it already.
  void release(const ParkedRecord& parked, std::string_view trace_id);

  // What becomes of a record of the feedback stream, the next one.
  void decide(const IncomingFeedback& incoming);

  // Its time is up: a dead letter of `as_of`, up to when what was told is known; none of what was taken back, nor of a
  // deletion. Changes behind an expired create stay parked until their own time is up.
  void expire(const ParkedRecord& parked, Instant as_of);

  // What is left of the assessment needs to be known no longer, where that was until then at most.
  void forget(const std::string& assessment_id, Instant upto) { facts_.remains_.forget(assessment_id, upto); }

  // Enough for one step: commit, and go on in the next one.
  bool full() const { return step_.outputs.size() >= policy_.outputs_max || bytes_ >= policy_.bytes_max; }
  bool empty() const;

  const ResolveCounts& counts() const { return counts_; }
  const Meta& meta() const { return meta_; }                             // after the step
  std::optional<Instant> first_expiry() const { return first_expiry_; }  // of what this step parked

  // The step. Call once, last.
  Step finish();
  // After finish(): whether something is left, then, of an assessment that this step has touched.
  bool left_remains() const { return left_remains_; }

 private:
  struct Forward {
    std::string trace_id;
  };
  struct Park {
    std::string behind;
  };
  struct Duplicate {};
  struct Conflict {};
  struct Annul {};  // it was taken back before it came
  using Verdict = std::variant<Forward, Park, Duplicate, Conflict, Annul>;

  bool conflicts(const FeedbackRecord& record, Offset offset) const;
  Verdict verdict_on(const FeedbackRecord& record, const FeedbackItem& item, Offset offset) const;
  void note_seen(const FeedbackRecord& record, const FeedbackItem& item, Offset offset);
  void park(const FeedbackRecord& record, const FeedbackItem& item, std::int64_t order, std::string behind);
  void take_back(const std::string& assessment_id, bool forwarded);
  void withdraw(const std::string& assessment_id);
  void note_key(const std::string& assessment_id, const Seen& seen);
  void revive(const FeedbackRecord& record, const FeedbackItem& item, Offset offset);
  void bury(const std::string& assessment_id, const DeadLetter& letter);
  void annul(const std::string& record_id);
  void end_parked(const ParkedRecord& parked);
  void malformed(Offset offset, std::string_view raw, std::string reason);
  void emit(Record record);
  const ParkedRecord* parked(const std::string& record_id) const;
  const Seen* seen(const std::string& record_id) const;

  const Partition partition_;
  const Meta before_;
  const ResolvePolicy policy_;
  const Instant now_;
  Meta meta_;
  Facts facts_;
  Step step_;
  std::size_t bytes_ = 0;
  ResolveCounts counts_;
  std::optional<Instant> first_expiry_;
  bool left_remains_ = false;
};

}  // namespace assay
