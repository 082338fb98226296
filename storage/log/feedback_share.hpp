#pragma once
// Which records a log refuses before feedback when its room runs out.
#include <algorithm>
#include <cstddef>
#include <span>

#include "storage/records/record.hpp"

namespace assay {

// Of the room that a log has (a spool's bytes, a disk's reserve): an eighth, the last, is feedback's alone.
inline constexpr std::size_t feedback_share = 8;

// Whether they tell a trace together with its ids: so a chat begins, and so traces and spans are logged. What a chat
// ends with is not, for what was begun may end.
inline bool begins_a_trace(std::span<const Record> records) {
  const auto any_of = [records](Stream stream) {
    return std::ranges::any_of(records, [stream](const Record& record) { return record.stream == stream; });
  };
  return any_of(Stream::requests) && any_of(Stream::traces);
}

}  // namespace assay
