#include "ingest/feedback/unknown_traces.hpp"

#include <algorithm>

#include "storage/records/request_record.hpp"
#include "storage/sinks/mlflow_search.hpp"

namespace assay {

bool UnknownTraces::known(const Target& target) const {
  if (!view_) return recent_.find(target.id).has_value();
  if (recent_.find(target.id, view_->told_since())) return true;
  const auto trace = view_->trace_of(target.id);
  return !trace || *trace;
}

std::vector<std::size_t> UnknownTraces::missing(const std::vector<Target>& targets) const {
  std::vector<std::size_t> at;
  for (std::size_t i = 0; i < targets.size(); ++i)
    if (!known(targets[i])) at.push_back(i);
  return at;
}

Task<std::vector<bool>> UnknownTraces::surely(std::vector<Target> targets) {
  std::vector<bool> unknown(targets.size(), false);
  auto at = missing(targets);
  if (!at.empty() && view_) {
    const auto applied = co_await view_->applied(view_wait_);
    if (!applied) co_return unknown;
    at = missing(targets);
  }
  if (at.empty()) co_return unknown;
  TracesBehind::Named named;
  if (behind_) {
    std::vector<Target> asked;
    std::erase_if(at, [&](std::size_t i) { return !mlflow::quotable(targets[i].id); });  // nobody can say
    for (const auto i : at) asked.push_back(targets[i]);
    auto found = co_await behind_->find(asked);
    if (!found) co_return unknown;
    named = std::move(*found);
  }
  std::vector<std::pair<std::string, std::string>> found;
  for (const auto i : at) {
    const auto one = named.find(targets[i].id);
    unknown[i] = one == named.end();
    if (one != named.end()) found.emplace_back(*one);
  }
  if (!found.empty()) co_await tell(std::move(found));
  co_return unknown;
}

// Where the log does not take it, the feedback that comes next fares no better, or waits for the feeder.
Task<void> UnknownTraces::tell(std::vector<std::pair<std::string, std::string>> ids_and_traces) {
  const auto now = clock_.now();
  std::vector<Record> records;
  for (const auto& [id, trace_id] : ids_and_traces)
    for (auto& record : request_records(trace_id, id == trace_id ? std::string_view() : std::string_view(id), now))
      records.push_back(std::move(record));
  const auto told = co_await log_.append_all(std::move(records));
  if (!std::ranges::all_of(told, [](const auto& one) { return bool(one); })) co_return;
  for (const auto& [id, trace_id] : ids_and_traces)
    recent_.add(trace_id, id == trace_id ? std::string_view() : std::string_view(id), now);
}

}  // namespace assay
