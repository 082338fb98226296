#include "storage/store/batch.hpp"

#include <algorithm>
#include <iterator>
#include <unordered_set>

#include "storage/state/scan_checked.hpp"
#include "storage/store/trace_index.hpp"

namespace assay {
namespace {

std::string index_key_of(const std::string& assessment_id, const std::string& trace_id, const AssessmentRow& row) {
  if (row.deleted()) return {};
  const auto rest = store_keys::assessment(trace_id, assessment_id);
  if (!row.base()) return store_keys::index('n', "", row.after(), rest);
  const Instant at{std::chrono::milliseconds(row.base()->stamp.accepted_at)};
  return store_keys::index('n', row.name(), at, rest);
}

// Both sorted.
std::vector<std::string> without(const std::vector<std::string>& all, const std::vector<std::string>& those) {
  std::vector<std::string> out;
  std::ranges::set_difference(all, those, std::back_inserter(out));
  return out;
}

}  // namespace

Result<void> StoreBatch::load(std::span<const AssessmentRecord> assessments, std::span<const TraceRecord> traces) {
  std::unordered_set<std::string> ids, trace_ids;
  for (const auto& record : assessments) ids.insert(record.assessment_id);
  if (const auto loaded = load_ids({ids.begin(), ids.end()}); !loaded) return loaded;
  if (const auto loaded = load_traces(traces); !loaded) return loaded;
  if (const auto loaded = load_shares(assessments, traces); !loaded) return loaded;
  if (!tombstones_) return {};
  for (const auto& record : assessments)
    if (!traces_.contains(record.trace_id)) trace_ids.insert(record.trace_id);
  std::vector<std::string> names(trace_ids.begin(), trace_ids.end()), keys;
  for (const auto& id : names) keys.push_back(store_keys::trace_tombstone(id));
  const auto found = kv_.multi_get(Family::traces, keys);
  if (!found) return found.error();
  for (std::size_t i = 0; i < names.size(); ++i)
    if ((*found)[i]) {
      auto& trace = traces_[names[i]];
      trace.deleted = true;
      trace.deleted_at = store_keys::deleted_at(*(*found)[i]);
    }
  return {};
}

Result<void> StoreBatch::load_ids(std::vector<std::string> ids) {
  std::erase_if(ids, [this](const std::string& id) { return assessments_.contains(id); });
  const auto where = kv_.multi_get(Family::assessment_ids, ids);
  if (!where) return where.error();
  assessments_.reserve(assessments_.size() + ids.size());
  struct Wanted {
    std::vector<std::string> keys;
    std::vector<Assessment*> into;
  } rows, held;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    auto& assessment = assessments_[ids[i]];
    const auto& value = (*where)[i];
    if (!value) continue;
    const auto located = store_keys::located(*value);
    if (!located) return make_error_code(Error::corrupt);
    assessment.kind = located->kind;
    assessment.trace_id = assessment.new_trace_id = located->trace_id;
    if (assessment.kind == Kind::deleted) {
      assessment.row.erase();
      continue;
    }
    auto& wanted = assessment.kind == Kind::row ? rows : held;
    wanted.keys.push_back(store_keys::assessment(assessment.trace_id, ids[i]));
    wanted.into.push_back(&assessment);
  }
  for (const auto& [family, wanted] : {std::pair{Family::assessments, &rows}, std::pair{Family::held, &held}}) {
    if (wanted->keys.empty()) continue;
    const auto found = kv_.multi_get(family, wanted->keys);
    if (!found) return found.error();
    for (std::size_t i = 0; i < wanted->keys.size(); ++i) {
      auto row = (*found)[i] ? AssessmentRow::decode(*(*found)[i]) : std::nullopt;
      if (!row) return make_error_code(Error::corrupt);
      auto& assessment = *wanted->into[i];
      assessment.row = std::move(*row);
      if (assessment.kind == Kind::row && summed_up_(assessment.trace_id)) assessment.said = said_in(assessment.row);
      const auto& key = wanted->keys[i];
      assessment.index_key =
          index_key_of(key.substr(assessment.trace_id.size() + 1), assessment.trace_id, assessment.row);
    }
  }
  return {};
}

Result<void> StoreBatch::load_traces(std::span<const TraceRecord> records) {
  std::vector<std::string> names, keys;
  for (const auto& record : records)
    if (traces_.try_emplace(record.trace_id).second) {
      names.push_back(record.trace_id);
      keys.push_back(store_keys::trace_info(record.trace_id));
      keys.push_back(store_keys::trace_tombstone(record.trace_id));
    }
  if (keys.empty()) return {};
  const auto found = kv_.multi_get(Family::traces, keys);
  if (!found) return found.error();
  for (std::size_t i = 0; i < names.size(); ++i) {
    auto& trace = traces_[names[i]];
    const auto& tombstone = (*found)[2 * i + 1];
    trace.deleted = tombstone.has_value();
    if (tombstone) trace.deleted_at = store_keys::deleted_at(*tombstone);
    const auto& info = (*found)[2 * i];
    if (!info) continue;
    auto row = TraceRow::decode(*info);
    if (!row) return make_error_code(Error::corrupt);
    trace.was_there = true;
    trace.row = std::move(*row);
    trace.index_keys = trace_index::keys_of(names[i], trace.row);
  }
  return load_spans(records);
}

// Of each trace that has spans in the batch: how those stand that are kept, without their JSON, and how many there are.
Result<void> StoreBatch::load_spans(std::span<const TraceRecord> records) {
  std::unordered_set<std::string> names, wanted;
  std::vector<std::string> of, keys;
  const auto want = [&](const std::string& trace_id, std::string key) {
    if (!wanted.insert(key).second) return;
    of.push_back(trace_id);
    keys.push_back(std::move(key));
  };
  for (const auto& record : records) {
    auto& trace = traces_[record.trace_id];
    const auto spans = spans_of(record);
    if (record.spans.empty() || !spans || trace.deleted) continue;
    trace.concludes |= has_usage(trace.row, record.spans);
    if (!trace.was_there) continue;  // then no span of it is there either
    names.insert(record.trace_id);
    want(record.trace_id, store_keys::span_tally(record.trace_id));
    for (const auto& [id, span] : *spans) want(record.trace_id, store_keys::span(record.trace_id, id));
  }
  std::unordered_set<std::string> counted;
  const auto found = [&](std::size_t i, std::string_view value) -> Result<void> {
    auto& trace = traces_[of[i]];
    if (keys[i] == store_keys::span_tally(of[i])) {
      const auto tally = SpanTally::decode(value);
      if (!tally) return make_error_code(Error::corrupt);
      trace.tally = *tally;
      counted.insert(of[i]);
      return {};
    }
    const auto head = SpanRow::decode_head(value);
    if (!head) return make_error_code(Error::corrupt);
    trace.spans.insert_or_assign(keys[i], *head);
    return {};
  };
  if (const auto read = kv_.each_of(Family::traces, keys, found); !read) return read;
  for (const auto& name : names)
    if (!counted.contains(name))
      if (const auto loaded = count_spans(name, traces_[name]); !loaded) return loaded;
  return {};
}

// Of a trace without a tally: it has no span yet, or its spans were kept by a version that counted none. One span at a
// time: there was no bound then.
Result<void> StoreBatch::count_spans(const std::string& trace_id, Trace& trace) const {
  const auto prefix = store_keys::span(trace_id, "");
  const auto visit = [&](std::string_view key, std::string_view value) -> Result<bool> {
    const auto span = SpanRow::decode(value);
    if (!span) return corrupt();
    std::string id(key.substr(prefix.size()));
    trace.tally.add(span->json.size());
    auto usage = usage_of_span(span->json);
    if (usage.empty()) return true;
    trace.changed_usages.push_back(id);
    trace.usages.insert_or_assign(std::move(id), std::move(usage));
    return true;
  };
  return scan_checked(kv_, Family::traces, prefix, after_prefix(prefix), visit);
}

bool StoreBatch::trace_deleted(const std::string& trace_id) const {
  const auto at = traces_.find(trace_id);
  return at != traces_.end() && at->second.deleted;
}

Result<Applied, Malformed> StoreBatch::apply(const AssessmentRecord& record, Partition partition, Offset offset) {
  auto& assessment = assessments_.at(record.assessment_id);
  const bool had_base = assessment.row.base().has_value();
  const auto changed = assessment.row.apply(record, partition, offset);
  if (!changed) return changed.error();
  bool any = *changed;
  // The trace of the create is the assessment's; until it comes, and once it is deleted, the least of those named.
  auto& trace_id = assessment.new_trace_id;
  if (trace_id.empty() || (record.op == Op::create && any) || (!assessment.row.base() && record.trace_id < trace_id)) {
    any |= trace_id != record.trace_id;
    trace_id = record.trace_id;
  }
  if (trace_deleted(trace_id)) any |= assessment.row.erase();
  assessment.changed |= any;
  if (!any) return Applied::duplicate;
  if (record.op == Op::update && !had_base && !assessment.row.deleted()) return Applied::held;
  return Applied::applied;
}

Result<Result<Applied, Malformed>> StoreBatch::apply(const TraceRecord& record) {
  using Inner = Result<Applied, Malformed>;
  auto& trace = traces_.at(record.trace_id);
  if (record.deleted) {
    const bool later = record.accepted_at > trace.deleted_at;  // the last time counts, whatever came first
    if (later) trace.deleted_at = record.accepted_at;
    trace.changed |= later;
    if (trace.deleted) return Inner(Applied::duplicate);
    if (const auto erased = erase_trace(record.trace_id, trace); !erased) return erased.error();
    return Inner(Applied::applied);
  }
  auto spans = spans_of(record);
  if (!spans) return Inner(spans.error());
  TraceRow merged = trace.row;
  const auto changed = merged.apply(record);
  if (!changed) return Inner(changed.error());
  if (trace.deleted) return Inner(Applied::duplicate);
  auto tally = trace.tally;
  std::erase_if(*spans, [&](const auto& entry) {
    const auto at = trace.spans.find(store_keys::span(record.trace_id, entry.first));
    const bool there = at != trace.spans.end(), stays = there && at->second.rank >= entry.second.rank;
    if (there && !stays) tally.remove(at->second.bytes);
    if (!stays) tally.add(entry.second.json.size());
    return stays;
  });
  if (!spans->empty() && tally.too_much())
    return Inner(Malformed{"a trace holds at most " + std::to_string(trace_spans_max) + " spans and " +
                           std::to_string(trace_span_bytes_max >> 20) + " MB of them: this one would hold more"});
  const bool any = *changed || !spans->empty() || (!trace.was_there && trace.row.empty());
  trace.row = std::move(merged);
  trace.tally = tally;
  for (auto& [id, span] : *spans) {
    auto key = store_keys::span(record.trace_id, id);
    auto usage = usage_of_span(span.json);
    if (!usage.empty() || trace.spans.contains(key)) trace.changed_usages.push_back(id);
    trace.usages.insert_or_assign(id, std::move(usage));
    trace.spans.insert_or_assign(key, SpanHead{span.rank, span.json.size()});
    trace.changed_spans.insert_or_assign(std::move(key), std::move(span));
  }
  trace.changed |= any;
  return Inner(any ? Applied::applied : Applied::duplicate);
}

// From what each of its spans says for it: those of the batch, and what is kept of the others. One trace at a time.
Result<void> StoreBatch::conclude(const std::string& trace_id, Trace& trace) const {
  std::vector<SpanUsage> spans;
  for (const auto& [id, usage] : trace.usages) spans.push_back(usage);
  const auto prefix = store_keys::usage(trace_id, "");
  const auto visit = [&](std::string_view key, std::string_view value) -> Result<bool> {
    std::string id(key.substr(prefix.size()));
    if (trace.usages.contains(id)) return true;
    auto usage = SpanUsage::decode(std::move(id), value);
    if (!usage) return corrupt();
    spans.push_back(std::move(*usage));
    return true;
  };
  if (trace.was_there)
    if (const auto read = scan_checked(kv_, Family::traces, prefix, after_prefix(prefix), visit); !read) return read;
  conclude_usage(trace.row, std::move(spans));
  return {};
}

// Its assessments end with it: those in the database and those in this batch.
Result<void> StoreBatch::erase_trace(const std::string& trace_id, Trace& trace) {
  const auto prefix = store_keys::trace_prefix(trace_id);
  const auto end = after_prefix(prefix);
  std::vector<std::string> ids;
  const auto collect = [&](std::string_view key, std::string_view) {
    ids.emplace_back(key.substr(prefix.size()));
    return true;
  };
  for (const auto family : {Family::assessments, Family::held})
    if (const auto scanned = kv_.scan(family, prefix, end, collect); !scanned) return scanned;
  if (const auto loaded = load_ids(std::move(ids)); !loaded) return loaded;
  for (auto& [id, assessment] : assessments_)
    if (assessment.new_trace_id == trace_id) assessment.changed |= assessment.row.erase();
  const auto collect_span = [&](std::string_view key, std::string_view) {
    const auto kind = key.substr(prefix.size(), 1);
    if (kind == "s" || kind == "u" || kind == "n") trace.erased_spans.emplace_back(key);
    return true;
  };
  if (const auto scanned = kv_.scan(Family::traces, prefix, end, collect_span); !scanned) return scanned;
  trace.row = {};
  trace.spans.clear();
  trace.changed_spans.clear();
  trace.changed_usages.clear();
  trace.deleted = trace.changed = deleted_a_trace_ = true;
  return {};
}

void StoreBatch::write_assessment(const std::string& id, Assessment& assessment, Changes& out) const {
  auto& row = assessment.row;
  const auto kind = row.deleted() ? Kind::deleted : row.base() ? Kind::row : Kind::held;
  const bool moved = kind != assessment.kind || assessment.trace_id != assessment.new_trace_id;
  if (moved) {
    const auto old_key = store_keys::assessment(assessment.trace_id, id);
    if (assessment.kind == Kind::row) out.erase(Family::assessments, old_key);
    if (assessment.kind == Kind::held) out.erase(Family::held, old_key);
    out.put(Family::assessment_ids, id, store_keys::located_value({kind, assessment.new_trace_id}));
  }
  auto index_key = index_key_of(id, assessment.new_trace_id, row);
  if (index_key != assessment.index_key) {
    if (!assessment.index_key.empty()) out.erase(Family::trace_index, assessment.index_key);
    if (!index_key.empty()) out.put(Family::trace_index, std::move(index_key), {});
  }
  if (kind == Kind::deleted) return;
  out.put(kind == Kind::row ? Family::assessments : Family::held, store_keys::assessment(assessment.new_trace_id, id),
          row.encode());
}

void StoreBatch::write_trace(const std::string& id, Trace& trace, Changes& out) {
  std::ranges::sort(trace.index_keys);
  std::ranges::sort(trace.new_index_keys);
  for (auto& key : without(trace.index_keys, trace.new_index_keys)) out.erase(Family::trace_index, std::move(key));
  for (auto& key : without(trace.new_index_keys, trace.index_keys)) out.put(Family::trace_index, std::move(key), {});
  if (trace.deleted) {
    if (trace.was_there) out.erase(Family::traces, store_keys::trace_info(id));
    for (auto& key : trace.erased_spans) out.erase(Family::traces, std::move(key));
    out.put(Family::traces, store_keys::trace_tombstone(id), store_keys::tombstone_value(trace.deleted_at));
    return;
  }
  out.put(Family::traces, store_keys::trace_info(id), trace.row.encode());
  for (const auto& [key, span] : trace.changed_spans) out.put(Family::traces, key, span.encode());
  if (trace.changed_spans.empty()) return;
  for (const auto& span_id : trace.changed_usages) {
    const auto& usage = trace.usages.at(span_id);
    auto key = store_keys::usage(id, span_id);
    if (usage.empty())
      out.erase(Family::traces, std::move(key));
    else
      out.put(Family::traces, std::move(key), usage.encode());
  }
  out.put(Family::traces, store_keys::span_tally(id), trace.tally.encode());
}

Result<Changes> StoreBatch::finish() {
  Changes out;
  for (auto& [id, assessment] : assessments_)
    if (assessment.changed) write_assessment(id, assessment, out);
  for (auto& [id, trace] : traces_) {
    if (!trace.changed) continue;
    if (trace.concludes && !trace.deleted)
      if (const auto concluded = conclude(id, trace); !concluded) return concluded.error();
    if (!trace.deleted) trace.new_index_keys = trace_index::keys_of(id, trace.row);
    write_trace(id, trace, out);
  }
  if (deleted_a_trace_) out.put(Family::meta, std::string(store_keys::tombstones), {});
  if (const auto summed = sum_up(out); !summed) return summed.error();
  return out;
}

}  // namespace assay
