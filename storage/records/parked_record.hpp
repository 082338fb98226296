#pragma once
// assay.parked: the changelog of what waits for its trace (compacted, key record_id, written to its feedback's
// partition). A tombstone says it was released or has expired. The same value is kept in the worker's state.
//
//   {"v":1,"op":…,"record_id":R,"accepted_at":T,"expires_at":T,"order":N,"client_request_id":ID | "trace_id":ID,
//    "behind":ID?,"body_hash":H,"idempotent":true?,"attempt":N?,"withdrawn":true?,"item":ASSESSMENT | CHANGES}
//
// `order` is the offset of its feedback times items_per_record_max (4096) plus its place among the items: release
// follows it. `behind` is the id of the target that the create, which this change waits behind, is parked under, where
// that is not the change's own. `withdrawn`: it was taken back while it waited, and its item holds no words any more.
// DO NOT CHANGE a field's meaning: raise the version.
#include "storage/records/feedback_record.hpp"

namespace assay {

struct ParkedRecord {
  Op op = Op::create;
  Target target;
  std::string behind;
  Instant accepted_at, expires_at;
  std::int64_t order = 0;
  std::uint64_t body_hash = 0;
  bool idempotent = false;
  int attempt = 0;
  bool withdrawn = false;
  FeedbackItem item;

  // The id whose trace releases it.
  const std::string& waits_for() const { return behind.empty() ? target.id : behind; }
};

// It was taken back: of its item stays what readers of assay.assessments insist on, and nothing that was said.
void withdraw(ParkedRecord& parked);

std::string parked_value(const ParkedRecord& parked);
Record to_record(const ParkedRecord& parked, Partition partition);
Record parked_tombstone(std::string_view record_id, Partition partition);
Result<ParkedRecord, Malformed> parse_parked_record(std::string_view value);

}  // namespace assay
