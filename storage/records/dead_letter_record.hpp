#pragma once
// assay.deadletters: what cannot be committed. Key: record_id (for bytes that hold none:
// "<stream>/<partition>/<offset>"). Compacted and kept by time; a purge or a replay writes a tombstone.
//
//   {"v":1,"record_id":R,"reason":"expired"|…,"detail":"in words","step":"resolve"|"store"|"mlflow","dead_at":T,
//    "accepted_at":T?,"stream":"feedback","partition":P,"offset":O,"assessment_id":A?,"client_request_id":ID? |
//    "trace_id":ID?, "record":FEEDBACK | "raw":"base64"}
//
// `record` is a feedback record (see feedback_record.hpp) with this one item, ready to be replayed; `raw` are the bytes
// of a record that could not be read, the first of them where a letter would be too long. What was taken back before it
// expired has neither. DO NOT CHANGE a field's meaning: raise the version.
#include <optional>
#include <string>

#include "storage/records/feedback_record.hpp"

namespace assay {

namespace dead_reason {
inline constexpr std::string_view expired = "expired";                            // its trace never came
inline constexpr std::string_view malformed = "malformed";                        // the bytes are no record
inline constexpr std::string_view idempotency_conflict = "idempotency_conflict";  // a key used again with another body
inline constexpr std::string_view refused = "refused";                            // the sink will never take it
}  // namespace dead_reason

struct DeadLetter {
  std::string record_id;
  std::string reason;  // one of dead_reason
  std::string detail;
  std::string step;
  Instant dead_at;
  StreamPartition from{Stream::feedback, 0};
  Offset offset = 0;
  std::optional<FeedbackRecord> record;  // one item; none when the bytes could not be read
  std::string raw;                       // then these are the bytes

  // It was taken back before it expired: nothing is left that could be replayed.
  bool taken_back() const { return reason == dead_reason::expired && !record; }
};

// As the log takes it: with not more of `raw` and of `detail` than fits into `bytes_max`, and words that say so.
Record to_record(const DeadLetter& dead, std::size_t bytes_max = 1'000'000);
Record dead_letter_tombstone(std::string_view record_id);
// "<stream>/<partition>/<offset>": the record_id of what can't be read, or has none.
std::string place_id(StreamPartition where, Offset offset);
// "<record_id>@<partition>/<order>": the record_id of an idempotency conflict, unlike all others: the record that the
// id belongs to may die as well, or a third body come, and on a compacted stream each must stay. `order`: of the item
// in the partition, its offset times items_per_record_max and its place.
std::string conflict_id(std::string_view record_id, Partition partition, std::int64_t order);
Result<DeadLetter, Malformed> parse_dead_letter(std::string_view value);

}  // namespace assay
