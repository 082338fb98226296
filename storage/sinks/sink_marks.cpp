#include "storage/sinks/sink_marks.hpp"

#include "ops/runtime/parse_number.hpp"

namespace assay {

std::string SinkMarks::key(std::string_view kind, std::string_view id) const {
  return prefix_ + std::string(kind) + "/" + std::string(id);
}

Result<std::optional<std::string>> SinkMarks::get(const std::string& key) const {
  if (const auto at = pending_.find(key); at != pending_.end()) return {boost::system::in_place_value, at->second};
  return kv_.get(Family::meta, key);
}

Result<Offset> SinkMarks::known(StreamPartition of) const {
  const auto value = get(key("known", std::string(name_of(of.stream)) + "/" + std::to_string(of.partition)));
  if (!value) return value.error();
  if (!*value) return Offset(0);
  const auto next = parse_number<Offset>(**value);
  if (!next) return make_error_code(Error::corrupt);
  return *next;
}

void SinkMarks::set_known(StreamPartition of, Offset next) {
  pending_[key("known", std::string(name_of(of.stream)) + "/" + std::to_string(of.partition))] = std::to_string(next);
}

Result<SinkMarks::Taken> SinkMarks::take(const AssessmentRecord& record, Partition partition, Offset offset) {
  if (record.op == Op::create) return Taken();
  const auto changed_key = key("changed", record.trace_id + "/" + record.assessment_id);
  if (record.op == Op::erase) {
    pending_[key("ended", record.assessment_id)] = "";
    pending_[key("changes", record.assessment_id)] = std::nullopt;
    pending_[changed_key] = std::nullopt;
    return Taken();
  }
  for (const auto* id : {&record.trace_id, &record.assessment_id}) {
    const auto gone = ended(*id);
    if (gone.has_error()) return gone.error();
    if (*gone) return Taken();
  }
  auto row = changes(record.assessment_id);
  if (!row) return row.error();
  const auto changed = row->apply(record, partition, offset);
  if (!changed) return Taken(changed.error());
  if (*changed) {
    pending_[key("changes", record.assessment_id)] = row->encode();
    pending_[changed_key] = "";
  }
  return Taken();
}

Result<SinkMarks::Taken> SinkMarks::take(const TraceRecord& record) {
  if (record.deleted) {
    pending_[key("ended", record.trace_id)] = "";
    if (const auto forgotten = forget(record.trace_id); !forgotten) return forgotten.error();
    return Taken();
  }
  const auto gone = ended(record.trace_id);
  if (!gone) return gone.error();
  if (*gone) return Taken();
  auto row = trace(record.trace_id);
  if (!row) return row.error();
  const auto spans = spans_of(record);
  if (!spans) return Taken(spans.error());
  const auto changed = row->apply(record);
  if (!changed) return Taken(changed.error());
  if (*changed) pending_[key("trace", record.trace_id)] = row->encode();
  for (const auto& [id, span] : *spans) {
    auto at = key("spans", record.trace_id + "/" + id);
    const auto before = get(at);
    if (!before) return before.error();
    const auto known = *before ? SpanRow::decode(**before) : std::nullopt;
    if (!known || known->rank < span.rank) pending_[std::move(at)] = span.encode();
  }
  return Taken();
}

Result<bool> SinkMarks::ended(const std::string& id) const {
  const auto value = get(key("ended", id));
  if (!value) return {boost::system::in_place_error, value.error()};
  return {boost::system::in_place_value, value->has_value()};
}

Result<AssessmentRow> SinkMarks::changes(const std::string& assessment_id) const {
  const auto value = get(key("changes", assessment_id));
  if (!value) return value.error();
  auto row = *value ? AssessmentRow::decode(**value) : AssessmentRow();
  if (!row) return make_error_code(Error::corrupt);
  return std::move(*row);
}

Result<TraceRow> SinkMarks::trace(const std::string& trace_id) const {
  const auto value = get(key("trace", trace_id));
  if (!value) return value.error();
  auto row = *value ? TraceRow::decode(**value) : TraceRow();
  if (!row) return make_error_code(Error::corrupt);
  return std::move(*row);
}

Result<void> SinkMarks::each_span(const std::string& trace_id,
                                  const std::function<bool(const std::string& json)>& visit) const {
  const auto prefix = key("spans", trace_id + "/");
  bool more = true;
  const auto show = [&](std::string_view value) {
    if (const auto span = SpanRow::decode(value)) more = visit(span->json);
    return more;
  };
  const auto on_disk = [&](std::string_view at, std::string_view value) {
    return pending_.contains(std::string(at)) || show(value);
  };
  if (const auto scanned = kv_.scan(Family::meta, prefix, after_prefix(prefix), on_disk); !scanned) return scanned;
  for (auto at = pending_.lower_bound(prefix); more && at != pending_.end() && at->first.starts_with(prefix); ++at)
    if (at->second) show(*at->second);
  return {};
}

Result<void> SinkMarks::each_span_after(
    const std::string& trace_id, const std::string& span_id,
    const std::function<bool(std::string_view span_id, const std::string& json)>& visit) const {
  const auto prefix = key("spans", trace_id + "/");
  const auto from = span_id.empty() ? prefix : prefix + span_id + '\0';
  return kv_.scan(Family::meta, from, after_prefix(prefix), [&](std::string_view at, std::string_view value) {
    const auto span = SpanRow::decode(value);
    return !span || visit(at.substr(prefix.size()), span->json);
  });
}

Result<std::set<std::string>> SinkMarks::keys(const std::string& prefix) const {
  std::set<std::string> found;
  const auto visit = [&](std::string_view at, std::string_view) {
    found.emplace_hint(found.end(), at);
    return true;
  };
  if (const auto scanned = kv_.scan(Family::meta, prefix, after_prefix(prefix), visit); !scanned)
    return scanned.error();
  for (auto at = pending_.lower_bound(prefix); at != pending_.end() && at->first.starts_with(prefix); ++at)
    found.insert(at->first);
  return found;
}

Result<void> SinkMarks::forget(const std::string& trace_id) {
  pending_[key("trace", trace_id)] = std::nullopt;
  const auto spans = keys(key("spans", trace_id + "/"));
  if (!spans) return spans.error();
  for (const auto& at : *spans) pending_[at] = std::nullopt;
  const auto prefix = key("changed", trace_id + "/");
  const auto changed = keys(prefix);
  if (!changed) return changed.error();
  for (const auto& at : *changed) {
    pending_[at] = std::nullopt;
    pending_[key("changes", at.substr(prefix.size()))] = std::nullopt;
  }
  return {};
}

Result<void> SinkMarks::prune(Instant until, std::size_t looked_at,
                              const std::function<bool(const std::string&)>& in_use) {
  const auto first = key("trace", "");
  std::vector<std::string> old;
  const auto visit = [&](std::string_view at, std::string_view value) {
    if (looked_at == 0) return false;
    --looked_at;
    pruned_to_ = std::string(at) + '\0';
    std::string trace_id(at.substr(first.size()));
    const auto row = TraceRow::decode(value);
    if (row && row->after() < until && !in_use(trace_id)) old.push_back(std::move(trace_id));
    return true;
  };
  const auto from = pruned_to_.empty() ? first : pruned_to_;
  if (const auto scanned = kv_.scan(Family::meta, from, after_prefix(first), visit); !scanned) return scanned;
  if (looked_at > 0) pruned_to_.clear();  // from the beginning, next time
  for (const auto& trace_id : old)
    if (const auto forgotten = forget(trace_id); !forgotten) return forgotten;
  return flush();
}

Result<void> SinkMarks::flush() {
  if (pending_.empty()) return {};
  Changes changes;
  for (const auto& [key, value] : pending_)
    if (value)
      changes.put(Family::meta, key, *value);
    else
      changes.erase(Family::meta, key);
  if (const auto written = kv_.write(changes); !written) return written;
  pending_.clear();
  return {};
}

}  // namespace assay
