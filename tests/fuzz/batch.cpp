// POST /feedback/batch: a list or lines; each item is refused or becomes a record, and one that is bad harms no other.
#include "ingest/feedback/batch_items.hpp"

#include <simdjson.h>

#include "tests/fuzz/target.hpp"

namespace assay::fuzz {

void one(std::string_view bytes) {
  constexpr std::size_t items_max = 100;
  std::string padded(bytes);
  padded.resize(bytes.size() + simdjson::SIMDJSON_PADDING, ' ');
  const auto now = *parse_time("2026-11-23T15:57:31.547Z");
  const auto items = read_batch(std::string_view(padded).substr(0, bytes.size()), "ana", now, items_max);
  if (!items) {
    must(items.error().status >= 400 && items.error().status < 500, "a bad batch is 4xx");
    return;
  }
  must(items->size() <= items_max, "a batch is bounded");
  for (const auto& item : *items) {
    if (item.rejection) {
      must(!item.rejection->reason.empty(), "a refusal has a reason");
      continue;
    }
    must(!item.feedback.target.id.empty(), "an item has a target");
    must(parse_feedback_record(*to_record(item.feedback).value).has_value(), "what is accepted reads back");
  }
}

}  // namespace assay::fuzz
