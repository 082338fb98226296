#include "ingest/feedback/recent_traces.hpp"

#include "storage/records/request_record.hpp"

namespace assay {

void RecentTraces::add(std::string_view trace_id, std::string_view client_request_id, Instant at) {
  std::scoped_lock lock(mutex_);
  put(trace_id, trace_id, at);
  if (may_name(client_request_id, trace_id)) put(client_request_id, trace_id, at);
}

void RecentTraces::put(std::string_view id, std::string_view trace_id, Instant at) {
  traces_[std::string(id)] = {std::string(trace_id), ++number_, at};
  order_.emplace_back(number_, id);
  while (order_.size() > ids_max_) {
    // An id that was added again since has a newer number, and stays.
    if (const auto at = traces_.find(order_.front().second);
        at != traces_.end() && at->second.number == order_.front().first)
      traces_.erase(at);
    order_.pop_front();
  }
}

std::optional<std::string> RecentTraces::find(std::string_view id, Instant since) const {
  std::scoped_lock lock(mutex_);
  const auto at = traces_.find(id);
  if (at == traces_.end() || at->second.at < since) return {};
  return at->second.trace_id;
}

}  // namespace assay
