// What sums up on its trace what was said of it.
#include "storage/sinks/mlflow_sql_batch.hpp"
#include "storage/sinks/sql_text.hpp"

namespace assay {

// The tag assay.feedback of each trace about which something was said.
void SqlBatch::tag() {
  PgArray ids, tags, empty;
  for (auto& [id, those] : tagged_values()) {
    const auto text = feedback_tag(std::move(those));
    if (text.empty()) {
      empty.add(std::string_view(id));
      continue;
    }
    ids.add(std::string_view(id));
    tags.add(std::string_view(text));
  }
  const std::string key(feedback_tag_name);
  if (ids.size() > 0)
    ask("INSERT INTO trace_tags (request_id, key, value) SELECT u.id, $3, u.value FROM unnest($1::text[], $2::text[]) "
        "AS u (id, value) WHERE EXISTS (SELECT 1 FROM trace_info t WHERE t.request_id = u.id) "
        "ON CONFLICT (request_id, key) DO UPDATE SET value = excluded.value WHERE trace_tags.value IS DISTINCT FROM "
        "excluded.value",
        {ids.text(), tags.text(), key});
  if (empty.size() > 0)
    ask("DELETE FROM trace_tags WHERE request_id = ANY($1::text[]) AND key = $2", {empty.text(), key});
}

// What counts of each of them: of each name the last.
std::map<std::string, std::vector<TaggedValue>> SqlBatch::tagged_values() {
  const auto list = sql::array({touched_.begin(), touched_.end()});
  const auto rows =
      ask("SELECT DISTINCT ON (trace_id COLLATE \"C\", name COLLATE \"C\") trace_id, assessment_id, name, value, "
          "last_updated_timestamp, created_timestamp FROM assessments "
          "WHERE trace_id = ANY($1::text[]) AND assessment_type = 'feedback' AND valid "
          "ORDER BY trace_id COLLATE \"C\", name COLLATE \"C\", last_updated_timestamp DESC, created_timestamp DESC, "
          "assessment_id COLLATE \"C\" DESC",
          {list});
  std::map<std::string, std::vector<TaggedValue>> values;
  for (const auto& id : touched_) values[id];
  for (int i = 0; i < rows.size(); ++i) {
    const auto time = [&](int column) { return Instant(std::chrono::milliseconds(rows.number(i, column))); };
    values[std::string(rows.text(i, 0))].push_back(
        {.name = std::string(rows.text(i, 2)),
         .last = {time(4), time(5)},
         .id = std::string(rows.text(i, 1)),
         .value = feedback_value("{\"feedback\":{\"value\":" + std::string(rows.text(i, 3)) + "}}")});
  }
  return values;
}

}  // namespace assay
