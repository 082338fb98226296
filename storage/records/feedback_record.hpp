#pragma once
// assay.feedback: one request's assessments (1…n, all or none; the resolver splits it), or one change.
//
//   {"v":1,"op":"create","accepted_at":T,"client_request_id":ID | "trace_id":ID,"body_hash":HEX16,
//    "idempotent":true?,"attempt":N?,"replayed_at":T?,"items":[ASSESSMENT…]}
//   {"v":1,"op":"update","record_id":R,"accepted_at":T, target as above,"items":[CHANGES]}
//   {"v":1,"op":"delete","record_id":R,"accepted_at":T, target as above,"items":[{"assessment_id":A}]}
//
// ASSESSMENT is MLflow's JSON of an assessment without its trace_id, which the resolver adds. CHANGES has
// assessment_id, last_update_time and what changes: feedback | expectation, rationale, metadata. The key is the
// target's id. A create's record_id is its assessment_id, with "#N" behind it in a replay's attempt N; a change's is
// given. DO NOT CHANGE a field's meaning: raise the version.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ops/runtime/clock.hpp"
#include "ops/runtime/result.hpp"
#include "storage/records/record.hpp"

namespace assay {

inline constexpr std::int64_t items_per_record_max = 4096;

// How long a feedback record may be where the log takes records of up to `record_bytes_max`: what is decided of it
// (parked, an assessment, a dead letter) says more than it does, and must fit, too.
constexpr std::size_t feedback_bytes_max(std::size_t record_bytes_max) {
  constexpr std::size_t room = 16u << 10;
  return record_bytes_max - std::min(record_bytes_max / 2, room);
}

// Of an id in a record. The doors take 250; what is decided of a record says its ids several times, escaped at worst.
inline constexpr std::size_t record_id_bytes_max = 512;

enum class Op : std::uint8_t { create, update, erase };
std::string_view name_of(Op op);  // "create" | "update" | "delete"

// What a feedback is about: one of the two ids. Both live in one namespace of names for traces.
struct Target {
  enum class Kind : std::uint8_t { client_request_id, trace_id };
  Kind kind = Kind::client_request_id;
  std::string id;
  std::string_view field() const { return kind == Kind::trace_id ? "trace_id" : "client_request_id"; }
  bool operator==(const Target&) const = default;
};

struct FeedbackItem {
  std::string record_id;
  std::string assessment_id;
  std::string json;  // ASSESSMENT or CHANGES, one object
};

struct FeedbackRecord {
  Op op = Op::create;
  Target target;
  Instant accepted_at;
  std::uint64_t body_hash = 0;  // of what the client sent, so that a key used again with another body is seen
  bool idempotent = false;      // ids are derived: a repeat of the request has the same ones
  int attempt = 0;              // > 0: replayed from the dead letters
  Instant replayed_at = {};     // then: when
  std::vector<FeedbackItem> items;

  Instant logged_by = Instant::max();  // in the log, where that keeps it; not in the record

  // When it was given to the log for the first time, as this record_id: what dedupe windows go by. What was said is as
  // late as accepted_at says, which is behind all that it changes, whatever the door's clock was.
  Instant logged_at() const { return std::min(std::max(accepted_at, replayed_at), logged_by); }
};

// The next attempt of a dead letter's record. What was said keeps its time: a change that is replayed is no later than
// those that were accepted since.
FeedbackRecord replay_of(FeedbackRecord dead, Instant now);

// The log's record: stream feedback, keyed by the target's id, with the identities of what may be said again: an
// idempotent create or change, a replay.
Record to_record(const FeedbackRecord& feedback);

// Why a value can't be read: for the dead letter, in words.
struct Malformed {
  std::string reason;
};
// Strict: an unknown version or op, a missing or mistyped field, or no items is Malformed.
Result<FeedbackRecord, Malformed> parse_feedback_record(std::string_view value);

}  // namespace assay
