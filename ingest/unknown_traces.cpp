#include "ingest/unknown_traces.hpp"

#include <algorithm>

#include "storage/records/request_record.hpp"

namespace assay {

bool UnknownTraces::known(const Target& target) const {
  if (recent_.find(target.id)) return true;
  if (!view_) return false;
  const auto trace = view_->trace_of(target.id);
  return !trace || *trace;
}

Task<bool> UnknownTraces::surely(const Target& target) {
  if (known(target)) co_return false;
  if (view_) {
    const auto applied = co_await view_->applied(view_wait_);
    if (!applied || known(target)) co_return false;
  }
  if (!behind_) co_return true;
  const auto found = co_await behind_->find(target);
  if (!found) co_return false;
  if (!*found) co_return true;
  const auto& trace_id = **found;
  const std::string_view request_id =
      target.kind == Target::Kind::client_request_id ? std::string_view(target.id) : std::string_view();
  auto records = request_records(trace_id, request_id, clock_.now());
  const auto told = co_await log_.append_all(std::move(records));
  // Where the log did not take it, the feedback that comes next fares no better, or waits for the feeder.
  if (std::ranges::all_of(told, [](const auto& one) { return bool(one); })) recent_.add(trace_id, request_id);
  co_return false;
}

}  // namespace assay
