#include "workers/dead_letters.hpp"

namespace assay {
namespace {

constexpr std::string_view step_name = "resolve";

}  // namespace

DeadLetter letter_of_expired(const ParkedRecord& parked, Partition partition, Instant now) {
  DeadLetter dead{.record_id = parked.item.record_id,
                  .reason = std::string(dead_reason::expired),
                  .detail = "no trace was named by " + parked.waits_for() + " in time",
                  .step = std::string(step_name),
                  .dead_at = now,
                  .from = {Stream::feedback, partition},
                  .offset = parked.order / items_per_record_max};
  FeedbackRecord record{.op = parked.op,
                        .target = parked.target,
                        .accepted_at = parked.accepted_at,
                        .body_hash = parked.body_hash,
                        .idempotent = parked.idempotent,
                        .attempt = parked.attempt,
                        .items = {parked.item}};
  dead.record = std::move(record);
  return dead;
}

DeadLetter letter_of_conflict(const FeedbackRecord& record, const FeedbackItem& item, StreamPartition from,
                              std::int64_t order, Instant now) {
  FeedbackRecord alone{.op = record.op,
                       .target = record.target,
                       .accepted_at = record.accepted_at,
                       .body_hash = record.body_hash,
                       .idempotent = record.idempotent,
                       .attempt = record.attempt,
                       .items = {item}};
  return {.record_id = conflict_id(item.record_id, from.partition, order),
          .reason = std::string(dead_reason::idempotency_conflict),
          .detail = "the idempotency key was used before with another body",
          .step = std::string(step_name),
          .dead_at = now,
          .from = from,
          .offset = order / items_per_record_max,
          .record = std::move(alone)};
}

DeadLetter letter_of_unreadable(std::string_view raw, std::string reason, StreamPartition from, Offset offset,
                                Instant now) {
  return {.record_id = place_id(from, offset),
          .reason = std::string(dead_reason::malformed),
          .detail = std::move(reason),
          .step = std::string(step_name),
          .dead_at = now,
          .from = from,
          .offset = offset,
          .raw = std::string(raw)};
}

}  // namespace assay
