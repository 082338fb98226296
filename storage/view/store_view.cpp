#include "storage/view/store_view.hpp"

#include "ops/runtime/parse_number.hpp"
#include "storage/records/json_writer.hpp"
#include "storage/state/parked_state.hpp"
#include "storage/state/partition_state.hpp"
#include "storage/state/remains_state.hpp"
#include "storage/state/state_keys.hpp"
#include "storage/store/report.hpp"

namespace assay {
namespace {

constexpr std::chrono::milliseconds sink_look_interval{10};

// What stands under the key, or under that of its latest replay: a record_id's attempts have "#1", "#2", … behind it.
Result<std::optional<std::string>> latest_attempt(const KeyValue& kv, Family family, const std::string& key) {
  std::optional<std::string> latest;
  int latest_number = -1;
  const auto scanned =
      kv.scan(family, key, after_prefix(key + "#"), [&](std::string_view found, std::string_view value) {
        const auto behind = found.substr(key.size());
        if (!behind.empty() && behind.front() != '#') return true;
        const auto number = behind.empty() ? 0 : parse_number<int>(behind.substr(1));
        if (number && *number > latest_number) {
          latest = value;
          latest_number = *number;
        }
        return true;
      });
  if (!scanned) return scanned.error();
  return latest;
}

}  // namespace

std::string_view name_of(Receipt::State state) {
  switch (state) {
    case Receipt::State::accepted:
      return "accepted";
    case Receipt::State::parked:
      return "parked";
    case Receipt::State::committed:
      return "committed";
    case Receipt::State::dead:
      return "dead";
    case Receipt::State::deleted:
      return "deleted";
  }
  return "unknown";
}

void Receipt::about(const Target& target) {
  if (target.kind == Target::Kind::trace_id)
    trace_id = target.id;
  else
    client_request_id = target.id;
}

std::string to_json(const Receipt& receipt) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("assessment_id", receipt.assessment_id).field("state", name_of(receipt.state));
  if (!receipt.trace_id.empty()) json.field("trace_id", receipt.trace_id);
  if (!receipt.client_request_id.empty()) json.field("client_request_id", receipt.client_request_id);
  if (receipt.accepted_at) json.field("accepted_at", format_time(*receipt.accepted_at));
  json.key("sinks").begin_object();
  for (const auto& [name, state] : receipt.sinks) json.field(name, state);
  json.end_object();
  if (!receipt.reason.empty()) json.field("reason", receipt.reason);
  json.end_object();
  return out;
}

Result<std::optional<std::string>> StoreView::trace_of(std::string_view id) {
  const std::string key(id);
  const auto traces = find_traces(kv_, partition_of(id, log_.partitions(Stream::requests)), {&key, 1}, told_since_());
  if (!traces) return traces.error();
  return traces->front();
}

namespace {

// The resolver and the store in this process, and how far the log has come.
struct LocalProgress {
  const EventLog& log;
  Progress& progress;
  std::function<Offset(StreamPartition)> end;
};

Task<Result<void>> reached(const LocalProgress& followed, Follower who, std::vector<Stream> streams,
                           std::chrono::steady_clock::time_point deadline) {
  for (const auto stream : streams)
    for (Partition p = 0; p < followed.log.partitions(stream); ++p) {
      const StreamPartition where{stream, p};
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      const auto end = followed.end(where);
      const auto done = co_await followed.progress.wait(who, where, end, std::max(left, std::chrono::milliseconds(0)));
      if (!done) co_return done;
    }
  co_return Result<void>();
}

// First the resolver passes what was acknowledged; what it has written by then is what the store must have read.
Task<Result<void>> applied_here(const LocalProgress& followed, std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  std::vector<Stream> resolved{Stream::requests, Stream::feedback};
  const auto decided = co_await reached(followed, Follower::resolver, std::move(resolved), deadline);
  if (!decided) co_return decided;
  std::vector<Stream> written{Stream::traces, Stream::assessments, Stream::deadletters, Stream::catalog};
  co_return co_await reached(followed, Follower::store, std::move(written), deadline);
}

}  // namespace

StoreView::StoreView(const KeyValue& kv, const EventLog& log, Progress& progress,
                     std::function<Offset(StreamPartition)> end)
    : StoreView(kv, log,
                [followed = std::make_shared<LocalProgress>(LocalProgress{log, progress, end})](
                    std::chrono::milliseconds limit) { return applied_here(*followed, limit); }) {
  end_ = std::move(end);
}

// They say how far they are, not when: it is asked again and again.
Task<Result<void>> StoreView::sunk(std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  if (!end_ || sinks_.empty()) co_return Result<void>();
  const auto here = co_await applied(limit);
  if (!here) co_return here;
  std::vector<std::pair<StreamPartition, Offset>> ends;
  for (const auto stream : {Stream::traces, Stream::assessments})
    for (Partition p = 0; p < log_.partitions(stream); ++p)
      ends.emplace_back(StreamPartition{stream, p}, end_({stream, p}));
  const auto executor = co_await asio::this_coro::executor;
  for (const auto& sink : sinks_)
    for (const auto& [where, end] : ends)
      while ((sink.here ? sink.here->tried(where) : sink.applied(where).value_or(end)) < end) {
        if (std::chrono::steady_clock::now() >= deadline) co_return Error::timed_out;
        Timer timer(executor, sink_look_interval);
        co_await timer.async_wait(as_result);
      }
  co_return Result<void>();
}

// A dead letter that was replayed is in the store or parked again: these come first. The store comes last, and once
// more: what is released or committed while we look has moved on towards it.
Result<std::optional<Receipt>> StoreView::receipt(std::string_view assessment_id) {
  for (const auto look :
       {&StoreView::committed, &StoreView::parked, &StoreView::taken_back, &StoreView::dead, &StoreView::committed})
    if (auto found = (this->*look)(assessment_id); !found || *found) return found;
  return std::optional<Receipt>();
}

Result<std::optional<Receipt>> StoreView::committed(std::string_view assessment_id) const {
  const auto located = store_.locate(assessment_id);
  if (!located) return located.error();
  if (!*located) return std::optional<Receipt>();
  const auto& trace_id = (*located)->trace_id;
  if ((*located)->kind == Store::Located::Kind::deleted) return std::optional(deleted(assessment_id, trace_id));
  const auto found = store_.find(assessment_id);
  if (!found) return found.error();
  if (!*found) return std::optional<Receipt>();
  const auto& base = *(*found)->row.base();
  Receipt receipt{.assessment_id = std::string(assessment_id), .state = Receipt::State::committed};
  receipt.trace_id = trace_id;
  receipt.client_request_id = base.client_request_id;
  receipt.accepted_at = Instant(std::chrono::milliseconds(base.stamp.accepted_at));
  receipt.sinks["store"] = "committed";
  if (sinks_.empty()) return std::optional(std::move(receipt));
  const auto letter = letter_of(assessment_id);
  if (!letter) return letter.error();
  const StreamPartition where{Stream::assessments, base.partition};
  for (const auto& other : sinks_) {
    if (*letter && (*letter)->step == other.name) {
      receipt.sinks[other.name] = "dead";
      receipt.reason = (*letter)->reason + ": " + (*letter)->detail;
    } else if (const auto applied = other.applied(where)) {
      const bool has = other.here ? other.here->has(where, base.offset) : *applied > base.offset;
      receipt.sinks[other.name] = has ? "committed" : "pending";
    }
  }
  return std::optional(std::move(receipt));
}

// The store keeps no more of it than its trace. Where its deletion stood in the log is forgotten, too: another sink has
// it for sure when it has all that the log holds.
Receipt StoreView::deleted(std::string_view assessment_id, std::string_view trace_id) const {
  Receipt receipt{.assessment_id = std::string(assessment_id), .state = Receipt::State::deleted};
  receipt.trace_id = trace_id;
  receipt.sinks["store"] = "deleted";
  const StreamPartition where{Stream::assessments, partition_of(trace_id, log_.partitions(Stream::assessments))};
  for (const auto& other : sinks_)
    if (const auto applied = other.applied(where); applied && end_)
      receipt.sinks[other.name] = *applied >= end_(where) ? "deleted" : "pending";
  return receipt;
}

Result<std::optional<Receipt>> StoreView::parked(std::string_view assessment_id) const {
  const std::string id(assessment_id);
  for (Partition p = 0; p < log_.partitions(Stream::feedback); ++p) {
    const auto found = latest_attempt(kv_, Family::parked, state::parked_key(p, id));
    if (!found) return found.error();
    if (!*found) continue;
    const auto parked = parse_parked_record(**found);
    if (!parked) return make_error_code(Error::corrupt);
    Receipt receipt{.assessment_id = id, .state = parked->withdrawn ? Receipt::State::deleted : Receipt::State::parked};
    receipt.about(parked->target);
    receipt.accepted_at = parked->accepted_at;
    return std::optional(std::move(receipt));
  }
  return std::optional<Receipt>();
}

// Before its trace came: no sink knows of it.
Result<std::optional<Receipt>> StoreView::taken_back(std::string_view assessment_id) const {
  const std::string id(assessment_id);
  for (Partition p = 0; p < log_.partitions(Stream::feedback); ++p) {
    const auto remains = find_remains(kv_, p, {&id, 1});
    if (!remains) return remains.error();
    if (remains->front() && remains->front()->taken_back)
      return std::optional(Receipt{.assessment_id = id, .state = Receipt::State::deleted});
  }
  return std::optional<Receipt>();
}

Result<std::optional<DeadLetter>> StoreView::letter_of(std::string_view assessment_id) const {
  const auto value = latest_attempt(kv_, Family::dead, std::string(assessment_id));
  if (!value) return value.error();
  if (!*value) return std::optional<DeadLetter>();
  auto letter = parse_dead_letter(**value);
  if (!letter) return make_error_code(Error::corrupt);
  return std::optional(std::move(*letter));
}

Result<std::optional<Receipt>> StoreView::dead(std::string_view assessment_id) const {
  const auto dead_letter = letter_of(assessment_id);
  if (!dead_letter) return dead_letter.error();
  if (!*dead_letter) return std::optional<Receipt>();
  const auto* dead = &**dead_letter;
  if (dead->taken_back())
    return std::optional(Receipt{.assessment_id = std::string(assessment_id), .state = Receipt::State::deleted});
  Receipt receipt{.assessment_id = std::string(assessment_id),
                  .state = Receipt::State::dead,
                  .reason = dead->reason + ": " + dead->detail};
  if (dead->record) {
    receipt.about(dead->record->target);
    receipt.accepted_at = dead->record->accepted_at;
  }
  receipt.sinks[dead->step == "resolve" ? "store" : dead->step] = "dead";
  return std::optional(std::move(receipt));
}

Result<std::string> StoreView::report(const std::string& experiment, Instant from, Instant now,
                                      const std::function<bool()>& go_on) {
  const auto made = make_report(kv_, experiment, from, now, go_on);
  if (!made) return made.error();
  return to_json(*made);
}

}  // namespace assay
