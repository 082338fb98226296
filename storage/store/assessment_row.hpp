#pragma once
// One assessment as the store keeps it: what its records have said so far, in a form that does not depend on the order
// in which they came.
//
// A create is the base: of several the first accepted one. A change sets registers, one for each field and each key of
// the metadata; of several that set the same one the last accepted wins, by (accepted_at, record_id). Changes win over
// the base, whatever their times; one of a feedback says nothing of an expectation, and the other way round. A delete
// ends it: nothing that comes later, or that is here, counts any more. So merging is commutative, associative and
// idempotent.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "storage/records/assessment_record.hpp"

namespace assay {

// When something was said; total, so that of two there is always a last one.
struct Stamp {
  std::int64_t accepted_at = 0;  // milliseconds since the epoch
  std::string record_id;
  auto operator<=>(const Stamp&) const = default;
};

// What its changes may come to: far more than a front door that knows the row lets through.
inline constexpr std::size_t assessment_changes_max = 4'000;  // fields and keys of the metadata, also those taken away
inline constexpr std::size_t assessment_change_bytes_max = 1u << 20;

class AssessmentRow {
 public:
  struct Base {
    Stamp stamp;
    Partition partition = 0;  // where its record stands on assay.assessments
    Offset offset = 0;
    std::string client_request_id;  // empty where the feedback came by trace_id
    std::string name, overrides;    // as in json, for the indexes
    std::string json;               // MLflow's JSON of the assessment, as it was accepted
  };
  struct Register {
    Stamp stamp;
    std::string json;  // "null": the field is not there
  };

  // What it changed: false: nothing (a repeat, or older than what is known). Malformed: the record is poison,
  // or the row would say too much; the row stays as it was.
  Result<bool, Malformed> apply(const AssessmentRecord& record, Partition partition, Offset offset);
  // Its trace was deleted.
  bool erase();

  bool deleted() const { return deleted_; }
  const std::optional<Base>& base() const { return base_; }
  const std::map<std::string, Register>& changes() const { return changes_; }
  // Of an existing one, changes folded in.
  std::string name() const;
  bool is_expectation() const;
  // When it says it was made, or was accepted where it does not.
  std::int64_t created_at() const;
  // When what is said now must have been accepted so that it counts: after everything that is here.
  Instant after() const;
  // MLflow's JSON of it, changes folded in. Only with a base.
  std::string json(bool valid) const;

  std::string encode() const;
  static std::optional<AssessmentRow> decode(std::string_view bytes);

 private:
  Result<bool, Malformed> create(const AssessmentRecord& record, Partition partition, Offset offset);
  Result<bool, Malformed> change(const AssessmentRecord& record);

  bool deleted_ = false;
  std::optional<Base> base_;
  std::map<std::string, Register> changes_;  // by field, or "metadata." and the key
};

}  // namespace assay
