#include "storage/store/store.hpp"

#include <simdjson.h>

#include <algorithm>
#include <set>

#include "storage/records/json_writer.hpp"
#include "storage/state/scan_checked.hpp"
#include "storage/store/aggregates.hpp"
#include "storage/store/aggregates_upkeep.hpp"
#include "storage/store/feedback_tag.hpp"

namespace assay {

Result<std::optional<Store::Located>> Store::locate(std::string_view assessment_id) const {
  const auto value = kv_.get(Family::assessment_ids, assessment_id);
  if (!value) return value.error();
  if (!*value) return std::optional<Located>();
  auto located = store_keys::located(**value);
  if (!located) return make_error_code(Error::corrupt);
  return located;
}

Result<std::optional<Store::Assessment>> Store::find(std::string_view assessment_id) const {
  const auto located = locate(assessment_id);
  if (!located) return located.error();
  if (!*located || (*located)->kind != Located::Kind::row) return std::optional<Assessment>();
  const auto& trace_id = (*located)->trace_id;
  const auto alone = overrides_nothing(trace_id);
  if (!alone) return alone.error();
  if (*alone) {
    const auto value = kv_.get(Family::assessments, store_keys::assessment(trace_id, assessment_id));
    if (!value) return value.error();
    if (!*value) return std::optional<Assessment>();
    auto row = AssessmentRow::decode(**value);
    if (!row || !row->base()) return make_error_code(Error::corrupt);
    const auto created_at = row->created_at();
    return std::optional(Assessment{std::string(assessment_id), std::move(*row), created_at, true});
  }
  auto all = assessments_of(trace_id);
  if (!all) return all.error();
  for (auto& assessment : *all)
    if (assessment.id == assessment_id) return std::optional(std::move(assessment));
  return std::optional<Assessment>();
}

// None of a trace's assessments overrides another, as its share says: each of them is valid, and may be read alone.
Result<bool> Store::overrides_nothing(std::string_view trace_id) const {
  const auto summed = is_summed_up(kv_);
  if (!summed || !*summed) return summed;
  const auto share = kv_.get(Family::traces, store_keys::share(trace_id));
  if (!share) return no_answer(share.error());
  if (!*share) return false;
  const auto overrides = Share::overrides_in(**share);
  return overrides && !*overrides;
}

Result<std::vector<Store::Assessment>> Store::assessments_of(std::string_view trace_id) const {
  std::vector<Assessment> out;
  const auto prefix = store_keys::trace_prefix(trace_id);
  const auto visit = [&](std::string_view key, std::string_view value) -> Result<bool> {
    auto row = AssessmentRow::decode(value);
    if (!row || !row->base()) return corrupt();
    const auto created_at = row->created_at();
    out.push_back({std::string(key.substr(prefix.size())), std::move(*row), created_at});
    return true;
  };
  const auto scanned = scan_checked(kv_, Family::assessments, prefix, after_prefix(prefix), visit);
  if (!scanned) return scanned.error();
  std::set<std::string_view> overridden;
  for (const auto& assessment : out) overridden.insert(assessment.row.base()->overrides);
  for (auto& assessment : out) assessment.valid = !overridden.contains(assessment.id);
  // Those of one request were accepted at once: their places in the log tell them apart.
  const auto place = [](const Assessment& a) {
    const auto& base = *a.row.base();
    return std::tie(a.created_at, base.stamp.accepted_at, base.partition, base.offset, a.id);
  };
  std::sort(out.begin(), out.end(), [&](const Assessment& a, const Assessment& b) { return place(a) < place(b); });
  return out;
}

Result<std::optional<std::string>> Store::assessment(std::string_view assessment_id) const {
  const auto found = find(assessment_id);
  if (!found) return found.error();
  if (!*found) return std::optional<std::string>();
  return std::optional((*found)->row.json((*found)->valid));
}

Result<std::optional<TraceRow>> Store::trace(std::string_view trace_id) const {
  const auto value = kv_.get(Family::traces, store_keys::trace_info(trace_id));
  if (!value) return value.error();
  if (!*value) return std::optional<TraceRow>();
  auto row = TraceRow::decode(**value);
  if (!row) return make_error_code(Error::corrupt);
  return row;
}

Result<bool> Store::deleted(std::string_view trace_id) const {
  if (!any_deleted_.load(
          std::memory_order_relaxed)) {  // as mostly: the look-up below is of a key that nobody keeps warm
    const auto any = kv_.get(Family::meta, store_keys::tombstones);
    if (!any) return no_answer(any.error());
    if (!*any) return false;
    any_deleted_.store(true, std::memory_order_relaxed);
  }
  const auto value = kv_.get(Family::traces, store_keys::trace_tombstone(trace_id));
  if (!value) return no_answer(value.error());
  return value->has_value();
}

Result<std::optional<std::string>> Store::trace_info(std::string_view trace_id) const {
  const auto row = trace(trace_id);
  if (!row) return row.error();
  if (!*row) return std::optional<std::string>();
  const auto assessments = assessments_of(trace_id);
  if (!assessments) return assessments.error();
  const auto spans_are_here = has_spans(trace_id);
  if (spans_are_here.has_error()) return spans_are_here.error();
  std::string list;
  if (!assessments->empty()) {
    JsonWriter json(list);
    json.begin_array();
    for (const auto& assessment : *assessments) json.raw(assessment.row.json(assessment.valid));
    json.end_array();
  }
  return std::optional(
      (*row)->info_json(trace_id, feedback_tag(*assessments), list, *spans_are_here, TraceRow::Texts::shown));
}

// As the sinks have it in their tables.
static std::optional<Instant> last_update_in(const std::string& assessment_json) {
  thread_local simdjson::dom::parser parser;
  std::string_view text;
  if (parser.parse(assessment_json)["last_update_time"].get_string().get(text)) return {};
  return parse_time(text);
}

std::string feedback_tag(const std::vector<Store::Assessment>& assessments) {
  std::vector<TaggedValue> values;
  for (const auto& assessment : assessments) {
    if (!assessment.valid) continue;
    const auto json = assessment.row.json(true);
    if (json.find("\"feedback\":") == json.npos) continue;
    const Instant created{std::chrono::milliseconds(assessment.created_at)};
    values.push_back({assessment.row.name(),
                      {last_update_in(json).value_or(created), created},
                      assessment.id,
                      feedback_value(json)});
  }
  return feedback_tag(std::move(values));
}

Result<std::string> Store::spans(std::string_view trace_id) const {
  std::string out;
  JsonWriter json(out);
  json.begin_array();
  const auto prefix = store_keys::span(trace_id, "");
  const auto visit = [&](std::string_view, std::string_view value) -> Result<bool> {
    const auto span = SpanRow::decode(value);
    if (!span) return corrupt();
    json.raw(span->json);
    return true;
  };
  const auto scanned = scan_checked(kv_, Family::traces, prefix, after_prefix(prefix), visit);
  if (!scanned) return scanned.error();
  json.end_array();
  return out;
}

Result<bool> Store::has_spans(std::string_view trace_id) const {
  bool found = false;
  const auto prefix = store_keys::span(trace_id, "");
  const auto scanned = kv_.scan(Family::traces, prefix, after_prefix(prefix), [&](std::string_view, std::string_view) {
    found = true;
    return false;
  });
  if (!scanned) return no_answer(scanned.error());
  return found;
}

Result<void> Store::traces_of_experiment(std::string_view experiment_id, Instant from, Instant to,
                                         const VisitTrace& visit) const {
  const auto prefix = store_keys::index_prefix('e', experiment_id);
  return kv_.scan(Family::trace_index, prefix + big_endian(store_keys::time_bits(from)),
                  prefix + big_endian(store_keys::time_bits(to)), [&](std::string_view key, std::string_view) {
                    const auto entry = store_keys::index_entry(key, prefix);
                    return visit(entry.rest, entry.at);
                  });
}

}  // namespace assay
