#include "storage/store/filter/trace_search.hpp"

#include <algorithm>

#include "ops/runtime/parse_number.hpp"
#include "storage/store/keys.hpp"

namespace assay::filter {
namespace {

std::string text_of(const Candidate& at) {
  return std::to_string(at.time.time_since_epoch().count()) + ":" + at.trace_id;
}

std::optional<Candidate> candidate_of(const std::string& text) {
  const auto colon = text.find(':');
  if (colon == text.npos) return {};
  const auto time = parse_number<std::int64_t>(std::string_view(text).substr(0, colon));
  if (!time) return {};
  return Candidate{Instant(std::chrono::milliseconds(*time)), text.substr(colon + 1)};
}

std::int64_t milliseconds(Instant at) { return at.time_since_epoch().count(); }

template <class T>
Value value_of(std::optional<T> value) {
  return value ? Value(std::move(*value)) : Value();
}

Value key_of(const Store& store, const TraceOrder& order, const std::string& trace_id, const TraceRow& row) {
  if (order.kind != "attribute") {
    auto entry = entry_of(store, order.kind, order.key, trace_id, row);
    return entry ? value_of(std::move(*entry)) : Value();
  }
  if (order.key == "timestamp_ms") return milliseconds(row.time());
  if (order.key == "execution_time_ms") return value_of(row.duration_ms());
  if (order.key == "end_time_ms") return milliseconds(row.time()) + row.duration_ms().value_or(0);
  if (order.key == "request_id") return trace_id;
  if (order.key == "experiment_id") {
    return parse_number<std::int64_t>(row.experiment_id()).value_or(0);
  }
  return value_of(row.text_at(order.key == "status" ? "state" : order.key));
}

}  // namespace

TraceSearch::TraceSearch(const KeyValue& kv, TraceQuery query, TraceMatch match, Candidates candidates)
    : kv_(&kv),
      query_(std::move(query)),
      match_(std::move(match)),
      candidates_(std::move(candidates)),
      newest_first_(is_newest_first(query_.order)),
      to_skip_(query_.page.after.empty() ? query_.page.offset : 0) {}

Result<Result<TraceSearch, Refusal>> TraceSearch::make(const KeyValue& kv, const Store& store, TraceQuery query) {
  using Inner = Result<TraceSearch, Refusal>;
  std::sort(query.experiments.begin(), query.experiments.end());
  query.experiments.erase(std::unique(query.experiments.begin(), query.experiments.end()), query.experiments.end());
  auto match = TraceMatch::make(kv, store, query.filter, query.experiments);
  if (!match) return Inner(match.error());
  std::optional<Candidate> after;
  if (is_newest_first(query.order) && !query.page.after.empty()) after = candidate_of(query.page.after);
  if (!after) query.page.after.clear();
  auto candidates = Candidates::plan(kv, query.filter, query.experiments, after);
  if (!candidates) return candidates.error();
  return Inner(TraceSearch(kv, std::move(query), std::move(*match), std::move(*candidates)));
}

Result<Result<TraceSearch::State, Refusal>> TraceSearch::step(std::size_t count) {
  using Inner = Result<State, Refusal>;
  if (newest_first_ && query_.filter.empty()) count = std::min(count, query_.max_results);
  const auto candidates = candidates_.next(count);
  if (!candidates) return candidates.error();
  std::vector<std::string> keys;
  for (const auto& candidate : *candidates) keys.push_back(store_keys::trace_info(candidate.trace_id));
  const auto rows = kv_->multi_get(Family::traces, keys);
  if (!rows) return rows.error();
  for (std::size_t i = 0; i < candidates->size(); ++i) {
    const auto& candidate = (*candidates)[i];
    ++examined_;
    if ((*rows)[i]) {
      const auto row = TraceRow::decode(*(*rows)[i]);
      if (!row) return make_error_code(Error::corrupt);
      const auto matches = match_(candidate.trace_id, *row);
      if (!matches) return matches.error();
      if (const auto problem = match_.problem()) return Inner(*problem);
      if (*matches) take(candidate, *row);
    }
    const bool full = newest_first_ && page_.size() == query_.max_results;
    const bool far = newest_first_ && examined_ >= query_.examined_max;
    if (full || far) {
      token_ = to_token(
          {query_.page.offset + static_cast<std::int64_t>(page_.size()) + (page_.empty() ? 1 : 0), text_of(candidate)});
      return Inner(State::complete);
    }
  }
  if (!newest_first_ && examined_ > query_.examined_max)
    return Inner(
        refusal("To sort these traces more than " + std::to_string(query_.examined_max) +
                " have to be looked at: narrow the filter, by timestamp_ms for example, or leave out order_by."));
  if (candidates->size() >= count) return Inner(State::more);
  if (!newest_first_) finish_sorted();
  return Inner(State::complete);
}

void TraceSearch::take(const Candidate& candidate, const TraceRow& row) {
  if (newest_first_) {
    if (to_skip_ > 0)
      --to_skip_;
    else
      page_.push_back(candidate.trace_id);
    return;
  }
  SearchHit found{candidate, {}};
  for (const auto& order : query_.order) found.keys.push_back(key_of(Store(*kv_), order, candidate.trace_id, row));
  found_.push_back(std::move(found));
}

// What has no value comes last, whatever the direction.
void TraceSearch::finish_sorted() {
  std::sort(found_.begin(), found_.end(), [&](const SearchHit& a, const SearchHit& b) {
    for (std::size_t i = 0; i < query_.order.size(); ++i) {
      const auto &left = a.keys[i], &right = b.keys[i];
      if (left == right) continue;
      const bool left_none = left.index() == 0, right_none = right.index() == 0;
      if (left_none || right_none) return right_none;
      return (left < right) == query_.order[i].ascending;
    }
    return a.at < b.at;
  });
  const auto from = std::min(static_cast<std::size_t>(query_.page.offset), found_.size());
  const auto to = std::min(from + query_.max_results, found_.size());
  for (auto i = from; i < to; ++i) page_.push_back(found_[i].at.trace_id);
  if (page_.size() == query_.max_results)
    token_ = to_token({query_.page.offset + static_cast<std::int64_t>(page_.size()), {}});
}

}  // namespace assay::filter
