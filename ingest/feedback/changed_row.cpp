#include "ingest/feedback/changed_row.hpp"

#include <simdjson.h>

#include "ingest/http/body_limits.hpp"

namespace assay {
namespace {

struct MetadataSize {
  std::size_t entries = 0, bytes = 0;
};

MetadataSize metadata_size(const AssessmentRow& row) {
  thread_local simdjson::dom::parser parser;
  const auto json = row.json(true);
  MetadataSize size;
  simdjson::dom::object metadata;
  if (parser.parse(json)["metadata"].get_object().get(metadata)) return size;
  for (const auto entry : metadata) {
    std::string_view text;
    if (!entry.value.get_string().get(text)) size.bytes += text.size();
    size.bytes += entry.key.size();
    ++size.entries;
  }
  return size;
}

}  // namespace

Result<AssessmentRow, Malformed> changed_by(AssessmentRow row, const FeedbackRecord& change) {
  for (const auto& item : change.items) {
    const AssessmentRecord record{.op = change.op,
                                  .assessment_id = item.assessment_id,
                                  .trace_id = {},
                                  .record_id = item.record_id,
                                  .client_request_id = {},
                                  .accepted_at = change.accepted_at,
                                  .json = item.json};
    if (const auto applied = row.apply(record, 0, 0); !applied) return applied.error();
  }
  return row;
}

// Where more came by MLflow's door, which takes more, it may stay.
std::optional<Rejection> problem_with_metadata(const AssessmentRow& before, const AssessmentRow& after) {
  const auto had = metadata_size(before), has = metadata_size(after);
  if (has.entries > BodyLimits::metadata_entries && has.entries > had.entries)
    return Rejection{
        422, "metadata",
        "with what is there it has more than " + std::to_string(BodyLimits::metadata_entries) + " entries"};
  if (has.bytes > BodyLimits::metadata_bytes && has.bytes > had.bytes)
    return Rejection{422, "metadata",
                     "with what is there it has more than " + std::to_string(BodyLimits::metadata_bytes) + " bytes"};
  return {};
}

}  // namespace assay
