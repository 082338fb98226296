#pragma once
// What is left of an assessment that died, or was taken back, before its trace came. On assay.parked beside what waits,
// with the key "remains/<assessment_id>"; the same value is kept in the worker's state.
//
//   {"v":1,"assessment_id":A,"until":T,"taken_back":true?,"letters":[RECORD_ID…]?}
//
// `letters`: the keys of its dead letters, as far as the resolver wrote them; none where it was taken back. `until`: it
// is forgotten then. DO NOT CHANGE a field's meaning: raise the version.
#include <optional>

#include "storage/records/feedback_record.hpp"

namespace assay {

struct Remains {
  std::string assessment_id;
  Instant until;
  bool taken_back = false;
  std::vector<std::string> letters;
  bool empty() const { return !taken_back && letters.empty(); }
};

// The assessment that a key of assay.parked is about; none: it is the key of what waits.
std::optional<std::string_view> remains_of(std::string_view key);

std::string remains_value(const Remains& remains);
Record to_record(const Remains& remains, Partition partition);  // where it is empty: its tombstone
Result<Remains, Malformed> parse_remains_record(std::string_view value);

}  // namespace assay
