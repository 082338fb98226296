#include "workers/committer.hpp"

#include <algorithm>

#include "ops/runtime/log.hpp"
#include "ops/runtime/thread.hpp"

namespace assay {
namespace {

const SystemClock system_clock;

}  // namespace

Committer::Committer(EventSources& sources, AssessmentSink& sink, Metrics& metrics, CommitterOptions options)
    : sources_(sources),
      sink_(sink),
      options_(std::move(options)),
      clock_(options_.clock ? *options_.clock : system_clock),
      metrics_(metrics, sink.name()),
      step_(options_.stuck_after) {
  if (!options_.end_of_own_log || !sink_.keeps_position_elsewhere()) return;
  for (const auto stream : sink_.follows())
    for (Partition p = 0; p < sources_.partitions(stream); ++p)
      if (const auto end = options_.end_of_own_log({stream, p})) first_ends_[{stream, p}] = *end;
}

Committer::~Committer() { stop(); }

// What stays in its stream for ever is as old as it is. Zero: nothing else is there.
static Instant oldest_of(std::span<const LogRecord> records) {
  Instant oldest;
  for (const auto& record : records) {
    const bool ages = record.stream == Stream::assessments || record.stream == Stream::traces;
    if (ages && (oldest == Instant() || record.at < oldest)) oldest = record.at;
  }
  return oldest;
}

void Committer::start() {
  thread_ = std::jthread([this](std::stop_token stop) { run(stop); });
}

void Committer::stop() {
  thread_.request_stop();
  sink_.stop();
  {
    std::scoped_lock lock(mutex_);
    if (source_) source_->wake();
  }
  if (thread_.joinable()) thread_.join();
}

void Committer::run(std::stop_token stop) {
  name_this_thread("committer");
  run_in_background();
  Backoff backoff(options_.backoff_first, options_.backoff_max);
  while (!stop.stop_requested()) {
    const auto done = step_or_close(options_.idle_wait);
    if (done) {
      if (backoff.tries() > 0) spdlog::info("event=sink_recovered sink={} lag={}", sink_.name(), lag());
      backoff.reset();
      if (*done > 0 && *done < options_.records_max) std::this_thread::sleep_for(options_.rest);
      continue;
    }
    if (stop.stop_requested()) return;
    metrics_.failures.Increment();
    const auto pause = backoff.next();
    spdlog::warn("event=sink_failed sink={} error=\"{}\" again_in_ms={} lag={}", sink_.name(), done.error().message(),
                 pause.count(), lag());
    (void)sleep_unless_stopped(stop, pause);
  }
}

// What is thrown (the system has no memory) is a failure as any other: what was read is read anew, from where the sink
// is.
Result<std::size_t> Committer::step_or_close(std::chrono::milliseconds wait) {
  try {
    return step(wait);
  } catch (const std::exception& e) {
    spdlog::error("event=sink_failed sink={} problem=\"{}\"", sink_.name(), e.what());
    pending_ = {};
    std::scoped_lock lock(mutex_);
    source_.reset();
    return make_error_code(Error::storage_failed);
  }
}

// A batch of thousands may take a slow peer hours, one after the other.
bool Committer::stuck() const {
  const auto ledger = sink_.ledger();
  auto moved = ledger.applied + ledger.duplicate + ledger.held + ledger.dead;
  {
    std::scoped_lock lock(mutex_);
    for (const auto& partition : partitions_) moved += sink_.applied(partition);
  }
  return step_.stalled(moved);
}

Result<std::size_t> Committer::step(std::chrono::milliseconds wait) {
  const StallWatch::Step under_way(step_);
  if (!source_)
    if (const auto opened = open(); !opened) return opened.error();
  if (pending_.empty()) {
    const auto records = read(wait);
    if (std::ranges::any_of(partitions_, [this](StreamPartition p) { return source_->is_doubtful(p); })) {
      std::scoped_lock lock(mutex_);
      source_.reset();  // opened anew it says whether the log still reaches to where we are
      return make_error_code(Error::log_changed);
    }
    if (!records) return records.error();
    note_trimmed();
    pending_ = *records;
    // While it takes traces only, what it does not take is what is old.
    if (takes_all()) batch_at_ = oldest_of(pending_);
    for (const auto& record : pending_) read_to_[{record.stream, record.partition}] = record.offset + 1;
  }
  if (!takes_all())
    if (const auto told = tell_what_is_read(); !told) return told.error();
  if (!pending_.empty() && sink_.keeps_position_elsewhere())
    if (const auto durable = source_->make_durable(); !durable) return durable.error();
  // What a peer that hangs has not taken shows while it hangs.
  if (!pending_.empty())
    if (const auto noted = note_progress(); !noted) return noted.error();
  const auto begun = std::chrono::steady_clock::now();
  const auto applied = sink_.apply(pending_);
  count();
  if (const auto noted = note_progress(); !noted) return noted.error();
  if (!applied) return applied.error();
  if (!pending_.empty())
    metrics_.batch_seconds.Observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count());
  const auto n = pending_.size();
  pending_ = {};
  return n;
}

// Of a log whose copy was put back. Kafka's end is never less than where somebody begins: its sources don't open there.
bool Committer::is_ahead_of(EventSource& source, std::span<const StartAt> starts) const {
  for (const auto& [where, offset] : starts) {
    const auto first = first_ends_.find(where);
    const auto end = !opened_ && first != first_ends_.end() ? Result<Offset>(first->second) : source.end(where);
    if (!end || offset <= *end) continue;
    spdlog::warn("event=sink_ahead_of_log sink={} stream={} partition={} position={} end={} act=\"from the beginning\"",
                 sink_.name(), name_of(where.stream), where.partition, offset, *end);
    return true;
  }
  return false;
}

Result<void> Committer::open() {
  if (over_) return make_error_code(Error::log_changed);
  std::vector<StartAt> starts;
  std::vector<StreamPartition> partitions;
  for (const auto stream : sink_.follows())
    for (Partition p = 0; p < sources_.partitions(stream); ++p) {
      if (const auto& mine = options_.partitions; mine && std::find(mine->begin(), mine->end(), p) == mine->end())
        continue;
      step_.begin();
      const auto position = sink_.position({stream, p});
      if (!position) return position.error();
      partitions.push_back({stream, p});
      starts.push_back({{stream, p}, *position});
    }
  {
    std::scoped_lock lock(mutex_);
    partitions_ = std::move(partitions);
  }
  if (starts.empty()) return make_error_code(Error::log_unavailable);
  auto source = sources_.open(starts);
  const bool behind_the_end = !source && source.error() == Error::corrupt;  // of topics that were made anew
  if (behind_the_end)
    spdlog::warn(
        "event=sink_ahead_of_log sink={} act=\"{}\"", sink_.name(),
        opened_ && !sink_.keeps_position_elsewhere() ? "from the beginning, after a restart" : "from the beginning");
  else if (!source)
    return source.error();
  if (behind_the_end || (sink_.keeps_position_elsewhere() && is_ahead_of(**source, starts))) {
    step_.begin();
    if (const auto anew = sink_.start_over(); !anew) return anew;
    // What it has in hand are records of the log before; in its next life it has none.
    over_ = opened_ && !sink_.keeps_position_elsewhere();
    if (over_) return make_error_code(Error::log_changed);
    for (auto& start : starts) start.offset = 0;
    source = sources_.open(std::move(starts));
    if (!source) return source.error();
  }
  read_to_.clear();
  {
    std::scoped_lock lock(mutex_);
    source_ = std::move(*source);
    opened_ = true;
  }
  note_trimmed();
  return {};
}

// From the log's beginning on is how a sink that is new reads: what was gone before it came is no loss of its own. Nor
// is one offset of a stream that steps write to: behind the last record that was applied stands the end of its
// transaction.
void Committer::note_trimmed() {
  for (const auto& partition : partitions_) {
    const auto lost = source_->take_trimmed(partition);
    if (!lost || lost->from == 0) continue;
    const auto from = std::max(lost->from, sink_.applied(partition));  // before that it reads for its marks alone
    const Offset no_record = partition.stream == Stream::traces ? 0 : 1;
    if (lost->to - from <= no_record) continue;
    metrics_.trimmed.Increment(static_cast<double>(lost->to - from));
    spdlog::error("event=records_deleted_unread sink={} stream={} partition={} from={} records={}", sink_.name(),
                  name_of(partition.stream), partition.partition, from, lost->to - from);
  }
}

Result<void> Committer::tell_what_is_read() {
  for (const auto stream : sink_.follows()) {
    bool all = true;
    for (const auto& partition : partitions_) {
      if (partition.stream != stream) continue;
      const auto end = source_->end(partition);
      if (!end) return end.error();
      all = all && source_->position(partition) >= *end;
    }
    if (all) sink_.all_read(stream);
  }
  return {};
}

bool Committer::takes_all() const {
  return std::ranges::all_of(partitions_, [this](StreamPartition p) { return sink_.takes(p.stream); });
}

Result<std::span<const LogRecord>> Committer::read(std::chrono::milliseconds wait) {
  if (takes_all()) return source_->read(options_.records_max, wait);
  // The sink is full of what waits for its trace: give it the traces that there are, one partition after the other.
  for (std::size_t i = 0; i < partitions_.size(); ++i) {
    const auto& partition = partitions_[turn_++ % partitions_.size()];
    if (!sink_.takes(partition.stream)) continue;
    const auto records = source_->read_from(partition, options_.records_max);
    if (!records || !records->empty()) return records;
  }
  (void)sleep_unless_stopped(thread_.get_stop_token(), std::min(wait, options_.idle_wait));
  return std::span<const LogRecord>();
}

Result<void> Committer::note_progress() {
  std::int64_t lag = 0;
  for (const auto& partition : partitions_) {
    auto applied = sink_.applied(partition);
    const auto end = source_->end(partition);
    if (!end) return end.error();
    // On Kafka the ends of transactions take offsets, too: what has read and applied every record has applied these.
    if (const auto read = read_to_.find(partition); read == read_to_.end() || applied >= read->second)
      applied = std::max(applied, source_->position(partition));
    if (partition.stream != Stream::deadletters) lag += std::max<Offset>(0, *end - applied);
    if (options_.progress) options_.progress->advance(Follower::store, partition, applied);
  }
  lag_ = lag;
  metrics_.lag.set(static_cast<double>(lag));
  const bool known = lag > 0 && batch_at_ != Instant();
  metrics_.behind_seconds.set(known ? std::chrono::duration<double>(clock_.now() - batch_at_).count() : 0);
  return {};
}

void Committer::count() {
  const auto now = sink_.ledger();
  metrics_.count(counted_, now);
  counted_ = now;
  metrics_.unaccounted.set(static_cast<double>(now.unaccounted() - sink_.unfinished()));
}

}  // namespace assay
