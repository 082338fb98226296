#include "ingest/feedback/new_feedback.hpp"

#include "ops/runtime/ids.hpp"
#include "storage/records/json_writer.hpp"

namespace assay {

FeedbackRecord new_feedback(const FeedbackSource& from, std::span<const AssessmentBody> bodies) {
  const auto& [door, target, key, user, now, mark] = from;
  FeedbackRecord record{.target = target, .accepted_at = now, .idempotent = key.has_value()};
  const auto time = format_time(now);
  std::string said;
  for (const auto& body : bodies) {
    std::string source;
    JsonWriter json(source);
    json.begin_object().field("source_type", body.source_type);
    const auto& source_id = body.source_id.empty() ? user : std::string_view(body.source_id);
    if (!source_id.empty()) json.field("source_id", source_id);
    json.end_object();

    FeedbackItem item;
    item.assessment_id = key ? derived_id(assessment_prefix, {*key, door, target.field(), target.id, body.name})
                             : time_ordered_id(assessment_prefix, now);
    if (mark) {
      if (!key) item.assessment_id = random_id(assessment_prefix);  // half of it is kept, and has to be random enough
      item.assessment_id =
          std::string(assessment_prefix) +
          mark->keys.own_id(mark->capability, std::string_view(item.assessment_id).substr(assessment_prefix.size()));
    }
    item.record_id = item.assessment_id;
    item.json.reserve(body.members.size() + 320);
    JsonWriter out(item.json);
    out.begin_object()
        .field("assessment_id", item.assessment_id)
        .field("assessment_name", body.name)
        .raw_field("source", source);
    out.field("create_time", time).field("last_update_time", time).raw(body.members).field("valid", true).end_object();
    if (key) said.append(body.name).append(source).append(body.members);
    record.items.push_back(std::move(item));
  }
  if (key) record.body_hash = content_hash({target.field(), target.id, said});
  return record;
}

}  // namespace assay
