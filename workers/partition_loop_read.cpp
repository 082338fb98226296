// PartitionLoop: where it stands in the log, and how it reads on.
#include <algorithm>

#include "ops/runtime/log.hpp"
#include "storage/records/request_record.hpp"
#include "storage/state/parked_state.hpp"
#include "workers/partition_loop.hpp"

namespace assay {

// Where the state is a cache the restore has left the source where the state is.
Result<void> PartitionLoop::open_source(std::optional<Offset> committed) {
  if (committed) {
    source_ = &restore_.source();
    source_->take_trimmed(feedback());  // of the restore, which may have begun further back
    note_trimmed({meta_.feedback, source_->position(feedback())});
    return {};
  }
  if (own_source_) {
    if (auto sought = own_source_->seek(requests(), meta_.requests); !sought) return sought;
    return own_source_->seek(feedback(), meta_.feedback);
  }
  auto source = sources_.open({{requests(), meta_.requests}, {feedback(), meta_.feedback}});
  if (!source) return source.error();
  std::scoped_lock lock(source_mutex_);
  own_source_ = std::move(*source);
  source_ = own_source_.get();
  return {};
}

// Feedback that was deleted, by age or from the topic's beginning, before it was read. A step that fails before the
// position has passed it meets it again.
void PartitionLoop::note_trimmed(Trimmed lost) {
  lost.from = std::max(lost.from, trimmed_to_);
  if (lost.to <= lost.from) return;
  trimmed_to_ = lost.to;
  metrics_.trimmed_total.Increment(static_cast<double>(lost.to - lost.from));
  spdlog::error("event=feedback_deleted_unread partition={} from={} records={}", config_.partition, lost.from,
                lost.to - lost.from);
}

// The next ids that something waits for and that the index knows already.
Result<void> PartitionLoop::join() {
  const auto ids = awaited_ids(state_, config_.partition, joined_upto_, config_.joined_max);
  if (!ids) return ids.error();
  const auto traces = find_traces(state_, config_.partition, *ids, told_since());
  if (!traces) return traces.error();
  for (std::size_t i = 0; i < ids->size(); ++i)
    if ((*traces)[i]) pending_.push_back((*ids)[i]);
  if (ids->size() < config_.joined_max)
    joined_ = true;
  else
    joined_upto_ = ids->back();
  return {};
}

// By a producer with another partitioner than the design's.
void PartitionLoop::note_misplaced(const LogRecord& request) {
  if (partition_of(request.key, sources_.partitions(Stream::requests)) == config_.partition) return;
  if (metrics_.misplaced_total.Value() == 0)
    spdlog::warn("event=request_misplaced partition={} offset={}", request.partition, request.offset);
  metrics_.misplaced_total.Increment();
}

void PartitionLoop::take(std::span<const LogRecord> records) {
  if (const auto lost = source_->take_trimmed(feedback())) note_trimmed(*lost);
  for (const auto& record : records) {
    gathered_bytes_ += record.key.size() + record.value.size();
    if (record.stream == Stream::requests) {
      if (auto problem = problem_with_request(record)) {
        unreadable_requests_.push_back({record.offset, std::string(record.value), std::move(*problem)});
        continue;
      }
      note_misplaced(record);
      requests_.push_back({std::string(record.key),
                           record.tombstone ? std::nullopt : std::optional<std::string>(record.value), record.at});
    } else if (record.stream == Stream::feedback) {
      auto parsed = record.tombstone ? Result<FeedbackRecord, Malformed>(Malformed{"it has no value"})
                                     : read_feedback(record, config_.policy);
      std::string raw = parsed ? std::string() : std::string(record.value);
      undecided_.push_back({record.offset, std::move(parsed), std::move(raw)});
    }
  }
}

Result<void> PartitionLoop::gather(std::chrono::milliseconds wait) {
  if (auto gathered = gather_some(wait); !gathered) return gathered;
  if (!undecided_.empty()) {
    // What was told while its feedback was read: that may come after it, and be meant.
    const auto told = source_->read_from(requests(), config_.records_max);
    if (!told) return told.error();
    take(*told);
  }
  // Nothing of it is decided before it is known which log this is: see Restore.
  return source_->is_doubtful(requests()) || source_->is_doubtful(feedback()) ? Error::log_changed : Result<void>();
}

Result<void> PartitionLoop::gather_some(std::chrono::milliseconds wait) {
  gathered_bytes_ = 0;
  const auto told = source_->read_from(requests(), config_.records_max);
  if (!told) return told.error();
  take(*told);
  behind_ = requests_.size() + undecided_.size() >= config_.records_max;
  if (!undecided_.empty()) return {};
  const auto said = source_->read_from(feedback(), config_.records_max);
  if (!said) return said.error();
  take(*said);
  behind_ = behind_ || undecided_.size() >= config_.records_max;
  if (!requests_.empty() || !undecided_.empty()) return gather_more();
  if (wait.count() <= 0) return {};
  if (next_expiry_) wait = std::clamp(*next_expiry_ - clock_.now(), std::chrono::milliseconds(1), wait);
  const auto any = source_->read(config_.records_max, wait);
  if (!any) return any.error();
  take(*any);
  return any->empty() ? Result<void>() : gather_more();
}

// A step's transaction costs as much for one record as for hundreds: it waits for company, but not where it has as much
// as it can take.
Result<void> PartitionLoop::gather_more() {
  const auto until = std::chrono::steady_clock::now() + config_.commit_interval;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    const auto have = requests_.size() + undecided_.size();
    if (left.count() <= 0 || have >= config_.records_max || gathered_bytes_ >= config_.gather_max) return {};
    const auto more = source_->read(config_.records_max - have, left);
    if (!more) return more.error();
    if (more->empty()) return {};  // the time is over, or wake() was called
    take(*more);
  }
}

// What has been read and is not decided yet counts as lag, too; where the log does not say its end, the last figure
// stands.
void PartitionLoop::count_lag() {
  Offset lag = static_cast<Offset>(undecided_.size());
  for (const auto& where : {requests(), feedback()}) {
    const auto end = source_->end(where);
    if (!end) return;
    lag += std::max<Offset>(0, *end - source_->position(where));
  }
  metrics_.lag.set(static_cast<double>(lag));
}

bool PartitionLoop::decided_backlog() const {
  if (!joined_ || !pending_.empty()) return false;
  // Or up to where it can be read now: behind a transaction of others' that is open there may be nothing.
  const auto passed = [&](StreamPartition where, Offset position, Offset upto) {
    if (position >= upto) return true;
    const auto end = source_->end(where);
    return end && position >= *end;
  };
  const auto decided = undecided_.empty() ? source_->position(feedback()) : undecided_.front().offset;
  return passed(requests(), source_->position(requests()), backlog_.requests) &&
         passed(feedback(), decided, backlog_.feedback);
}

}  // namespace assay
