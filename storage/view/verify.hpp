#pragma once
// Recounts the records themselves: every item of feedback that stands in the log against what became of it, and every
// resolved assessment against the store. The counters of workers and sinks are not asked; what is said here is what
// can be read. May run beside a process that goes on writing: what it had not yet come to is in flight.
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "storage/log/event_source.hpp"
#include "storage/state/key_value.hpp"

namespace assay {

// Of one partition of assay.feedback, in items (a record that can't be read counts as one).
struct FeedbackCount {
  std::int64_t logged = 0;
  std::int64_t forwarded = 0;
  std::int64_t duplicate = 0;  // the same record_id stands in the log once more, and that one is accounted for
  std::int64_t parked = 0;
  std::int64_t dead = 0;
  std::int64_t in_flight = 0;  // behind the resolver's position
  std::int64_t forgotten = 0;  // accepted before what assay.assessments still holds, with no store to ask
  std::int64_t unaccounted = 0;
  bool operator==(const FeedbackCount&) const = default;
};

// Of one partition of assay.assessments, in records.
struct AssessmentCount {
  std::int64_t logged = 0;
  std::int64_t stored = 0;  // the store has the assessment, or knows that it was deleted
  std::int64_t held = 0;    // a change whose create has not come
  std::int64_t dead = 0;
  std::int64_t in_flight = 0;  // behind the store's position
  std::int64_t unaccounted = 0;
  bool operator==(const AssessmentCount&) const = default;
};

struct Verification {
  std::map<Partition, FeedbackCount> feedback;
  std::map<Partition, AssessmentCount> assessments;
  std::int64_t forwarded_too_often = 0;  // more often on assay.assessments than it was logged
  bool with_store = true;                // there was one to recount assay.assessments against
  std::int64_t stored_twice = 0;         // assessment ids with a row under more than one trace
  std::vector<std::string> examples;     // of what is wrong, in words, the first few

  std::int64_t unaccounted() const;  // all of what is wrong
};

struct VerifyInput {
  EventSources& log;
  const KeyValue& kv;  // the parked, the store and the dead letters, but for what is said below
  // One past the last feedback record that the resolver of this partition has decided.
  std::function<Result<Offset>(Partition)> resolved;
  std::chrono::milliseconds read_limit = std::chrono::seconds(30);  // without a record, while there should be one
  const KeyValue* parked = nullptr;                                 // where they are not in `kv`
  bool store = true;                                                // false: `kv` holds none to recount against
  // What a repeat is, where none may be forwarded: none is checked without it.
  std::optional<std::chrono::milliseconds> dedupe_window = {};
};

// Memory: 40 bytes for each item of feedback and 8 for each assessment in the log.
Result<Verification> verify(const VerifyInput& input);

std::string to_text(const Verification& found);
std::string to_json(const Verification& found);

}  // namespace assay
