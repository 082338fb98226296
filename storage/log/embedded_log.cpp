#include "storage/log/embedded_log.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <filesystem>

#include "ops/runtime/log.hpp"
#include "ops/runtime/thread.hpp"
#include "storage/log/embedded_format.hpp"
#include "storage/log/embedded_numbering.hpp"
#include "storage/log/feedback_share.hpp"
#include "storage/state/seen.hpp"

namespace assay {

using namespace std::chrono_literals;

// An append between the front door's coroutine, in whose frame it lives, and the writer.
struct EmbeddedLog::PendingAppend {
  struct Resume {
    virtual ~Resume() = default;
    virtual void run() = 0;
  };
  template <class Handler>
  struct ResumeWith final : Resume {
    explicit ResumeWith(Handler h) : handler(std::move(h)) {}
    void run() override { std::move(handler)(); }
    Handler handler;
  };

  PendingAppend(Executor e, std::span<Record> r, std::span<Result<Appended>> a)
      : executor(std::move(e)), records(r), results(a) {
    for (const auto& record : records) bytes += record.key.size() + (record.value ? record.value->size() : 0) + 64;
  }
  void carry(Changes changes) {
    for (const auto& change : changes.list()) bytes += change.key.size() + (change.value ? change.value->size() : 0);
    state = std::move(changes);
  }
  void fail(error_code ec) { std::fill(results.begin(), results.end(), Result<Appended>(ec)); }

  Executor executor;
  std::span<Record> records;
  std::span<Result<Appended>> results;
  Changes state;  // to be written with them
  std::size_t bytes = 0;
  std::unique_ptr<Resume> resume;
};

Result<std::unique_ptr<EmbeddedLog>, std::string> EmbeddedLog::open(Db& db, std::string directory,
                                                                    EmbeddedLogConfig config, Metrics& metrics) {
  std::unique_ptr<EmbeddedLog> log(new EmbeddedLog(db, std::move(directory), std::move(config), metrics));
  if (const auto loaded = log->load(); !loaded) return "the event log can't be read: " + loaded.error().message();
  if (log->config_.read_only) return log;
  log->look_at_disk();
  log->writer_ = std::jthread([raw = log.get()](std::stop_token stop) { raw->write_until_stopped(stop); });
  return log;
}

EmbeddedLog::EmbeddedLog(Db& db, std::string directory, EmbeddedLogConfig config, Metrics& metrics)
    : db_(db),
      directory_(std::move(directory)),
      config_(std::move(config)),
      stalled_(config_.stalled_after),
      stuck_(config_.stuck_after),
      appended_total_(metrics.counter("assay_log_appended_total", "Records appended to the embedded log")),
      failed_total_(metrics.counter("assay_log_append_failed_total", "Records refused by the embedded log")),
      batches_total_(metrics.counter("assay_log_batches_total", "Writes of the embedded log, one sync each")),
      queue_bytes_gauge_(
          metrics.gauge("assay_log_queue_bytes", "Bytes of appends that wait for the embedded log's writer")),
      disk_free_bytes_(metrics.gauge("assay_log_disk_free_bytes", "Free bytes on the disk of the data directory")),
      disk_reserve_bytes_(
          metrics.gauge("assay_log_disk_reserve_bytes", "Free bytes below which the log takes nothing")),
      sync_seconds_(metrics.latency("assay_log_sync_seconds", "Write and sync of one batch of appends")) {
  disk_reserve_bytes_.Set(static_cast<double>(config_.disk_reserve_bytes));
}

EmbeddedLog::~EmbeddedLog() {
  {
    std::scoped_lock lock(queue_mutex_);
    stopping_ = true;
  }
  writer_.request_stop();  // does nothing where there is none
}

Result<void> EmbeddedLog::load() {
  for (const auto stream : all_streams) {
    const auto s = static_cast<std::size_t>(stream);
    const auto count = static_cast<std::size_t>(partitions(stream));
    next_[s].assign(count, 0);
    end_[s] = std::make_unique<std::atomic<Offset>[]>(count);
    first_[s] = std::make_unique<std::atomic<Offset>[]>(count);
    const auto family = embedded::family_of(stream);
    if (!family) continue;
    for (std::size_t p = 0; p < count; ++p) {
      const auto partition = static_cast<Partition>(p);
      const auto scanned = db_.scan_back(*family, embedded::key_of(partition, 0), embedded::key_of(partition + 1, 0),
                                         [&](std::string_view key, std::string_view) {
                                           next_[s][p] = embedded::offset_of(key) + 1;
                                           return false;
                                         });
      if (!scanned) return scanned;
      const auto first = db_.get(Family::meta, embedded::first_key({stream, partition}));
      if (!first) return first.error();
      if (*first) first_[s][p] = static_cast<Offset>(read_big_endian64(**first));
      next_[s][p] = std::max(next_[s][p], first_[s][p].load());
      end_[s][p] = next_[s][p];
    }
  }
  return {};
}

Task<Result<Appended>> EmbeddedLog::append(Record record) {
  Result<Appended> result = Error::stopped;
  const auto executor = co_await asio::this_coro::executor;
  PendingAppend waiting(executor, std::span(&record, 1), std::span(&result, 1));
  co_await submit(waiting);
  co_return result;
}

Task<std::vector<Result<Appended>>> EmbeddedLog::append_all(std::vector<Record> records) {
  return append_with(std::move(records), Changes());
}

Task<std::vector<Result<Appended>>> EmbeddedLog::append_with(std::vector<Record> records, Changes state) {
  std::vector<Result<Appended>> results(records.size(), Result<Appended>(Error::stopped));
  const auto executor = co_await asio::this_coro::executor;
  PendingAppend waiting(executor, records, results);
  waiting.carry(std::move(state));
  co_await submit(waiting);
  co_return results;
}

Task<void> EmbeddedLog::submit(PendingAppend& waiting) {
  auto at_once = writable();
  for (const auto& record : waiting.records)
    if (!embedded::family_of(record.stream)) at_once = Error::unsupported;
  if (at_once && feedback_alone() && begins_a_trace(waiting.records)) at_once = Error::log_full;
  if (!at_once) {
    waiting.fail(at_once.error());
    failed_total_.Increment(static_cast<double>(waiting.records.size()));
    co_return;
  }
  auto start = [this, &waiting](auto handler) {
    using Handler = decltype(handler);
    waiting.resume = std::make_unique<PendingAppend::ResumeWith<Handler>>(std::move(handler));
    bool wake = false;
    {
      std::scoped_lock lock(queue_mutex_);
      if (stopping_)
        waiting.fail(Error::stopped);
      else if (queue_bytes_ > 0 && queue_bytes_ + waiting.bytes > config_.queue_bytes_max)
        waiting.fail(Error::over_capacity);  // but not what finds none waiting, however long: it never would be taken
      else {
        wake = queue_.empty();
        queue_.push_back(&waiting);
        queue_bytes_ += waiting.bytes;
        queue_bytes_gauge_.Set(static_cast<double>(queue_bytes_));  // the writer may be at a slow disk for long
        if (wake) queued_.notify_one();
        return;
      }
    }
    failed_total_.Increment(static_cast<double>(waiting.records.size()));
    PendingAppend* const refused = &waiting;
    complete({&refused, 1});
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<Executor>&, void()>(std::move(start), use_task);
}

// Resumes those of one executor in one go.
void EmbeddedLog::complete(std::span<PendingAppend* const> batch) {
  for (std::size_t from = 0; from < batch.size();) {
    const auto executor = batch[from]->executor;
    std::vector<std::unique_ptr<PendingAppend::Resume>> resumes;
    std::size_t to = from;
    for (; to < batch.size() && batch[to]->executor == executor; ++to) resumes.push_back(std::move(batch[to]->resume));
    // From here on the coroutines, in whose frames what they wait with lives, may run and end.
    asio::post(executor, [resumes = std::move(resumes)]() mutable {
      for (auto& resume : resumes) resume->run();
    });
    from = to;
  }
}

void EmbeddedLog::write_until_stopped(std::stop_token stop) {
  name_this_thread("log-writer");
  std::vector<PendingAppend*> batch;
  auto looked_at_disk = std::chrono::steady_clock::now();
  for (;;) {
    batch.clear();
    {
      std::unique_lock lock(queue_mutex_);
      queued_.wait_for(lock, stop, 500ms, [this] { return !queue_.empty(); });
      std::size_t bytes = 0, taken = 0;
      while (taken < queue_.size() && (taken == 0 || bytes + queue_[taken]->bytes <= config_.batch_bytes_max))
        bytes += queue_[taken++]->bytes;
      batch.assign(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(taken));
      queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(taken));
      queue_bytes_ -= bytes;
      queue_bytes_gauge_.Set(static_cast<double>(queue_bytes_));
      if (stop.stop_requested() && batch.empty()) return;
    }
    const auto now = std::chrono::steady_clock::now();
    stalled_.begin(now);
    stuck_.begin(now);
    if (now - looked_at_disk > 250ms) {
      looked_at_disk = now;
      look_at_disk();
    }
    if (!batch.empty()) write_batch(batch);
    stalled_.end();
    stuck_.end();
    if (stall_said_.exchange(false)) spdlog::warn("event=log_goes_on");
  }
}

// Whether the record stands in the log, or in this batch, already. Only records with identities can.
Result<std::optional<Appended::Outcome>> EmbeddedLog::known(
    const Record& record, Partition partition, std::map<std::string, std::uint64_t, std::less<>>& batch) const {
  using Outcome = Appended::Outcome;
  for (const auto& identity : record.identities) {
    if (const auto at = batch.find(identity.record_id); at != batch.end())
      return std::optional(at->second == identity.body_hash ? Outcome::duplicate : Outcome::conflict);
    const auto bytes = db_.get(Family::seen, seen_key(partition, identity.record_id));
    if (!bytes) return bytes.error();
    if (!*bytes) continue;
    const auto seen = decode_seen(**bytes);
    if (!seen) continue;
    const auto said = said_before(*seen, identity.body_hash, record.accepted_at, config_.dedupe_window);
    if (said == SaidBefore::no) continue;
    return std::optional(said == SaidBefore::the_same ? Outcome::duplicate : Outcome::conflict);
  }
  return std::optional<Outcome>();
}

void EmbeddedLog::write_batch(std::span<PendingAppend* const> batch) {
  const auto start = std::chrono::steady_clock::now();
  std::size_t count = 0;
  if (const auto failure = write_and_sync(batch, count)) {
    if (failure == Error::log_full) disk_full_ = true;
    for (auto* waiting : batch)
      waiting->fail(failure == Error::log_full ? failure : make_error_code(Error::log_unavailable));
    failed_total_.Increment(static_cast<double>(count));
  } else {
    appended_total_.Increment(static_cast<double>(count));
    batches_total_.Increment();
    sync_seconds_.Observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  complete(batch);
}

// `count`: of the records that it numbered.
error_code EmbeddedLog::write_and_sync(std::span<PendingAppend* const> batch, std::size_t& count) {
  Numbering::Streams streams{};
  for (const auto* waiting : batch)
    for (const auto& record : waiting->records) streams[static_cast<std::size_t>(record.stream)] = true;
  Numbering numbering(*this, streams);
  Changes changes;
  if (const auto numbered = number(batch, numbering, changes, count); !numbered) return numbered.error();
  if (const auto written = db_.write(changes); !written) {
    // Where there is no room there may be some again; after anything else the database takes no more.
    if (written.error() != Error::log_full) broke("write", written.error());
    return written.error();
  }
  numbering.keep();
  // After a sync that failed nobody knows what survives: no more is accepted until the next start reads the log anew.
  if (const auto synced = config_.sync(db_); !synced) {
    broke("sync", synced.error());
    return Error::log_unavailable;
  }
  numbering.publish();
  return {};
}

Result<void> EmbeddedLog::number(std::span<PendingAppend* const> batch, Numbering& numbering, Changes& changes,
                                 std::size_t& count) const {
  std::map<std::string, std::uint64_t, std::less<>> identities;
  for (auto* waiting : batch) {
    for (std::size_t i = 0; i < waiting->records.size(); ++i) {
      auto& record = waiting->records[i];
      const auto partition = numbering.partition_of(record);
      if (!record.identities.empty()) {
        const auto outcome = known(record, partition, identities);
        if (!outcome) return outcome.error();
        if (*outcome) {
          waiting->results[i] = Appended{**outcome, partition, -1};
          continue;
        }
      }
      const auto offset = numbering.add(record, partition, changes);
      for (const auto& identity : record.identities) {
        identities.emplace(identity.record_id, identity.body_hash);
        changes.put(Family::seen, seen_key(partition, identity.record_id),
                    encode_seen({offset, identity.body_hash, record.accepted_at}));
      }
      waiting->results[i] = Appended{Appended::Outcome::appended, partition, offset};
      ++count;
    }
    changes.append(std::move(waiting->state));
  }
  return {};
}

void EmbeddedLog::broke(const char* act, error_code problem) {
  broken_ = true;
  spdlog::critical("event=log_broken failed={} problem=\"{}\" act=\"restart to recover\"", act, problem.message());
}

void EmbeddedLog::publish(Stream stream) {
  const auto s = static_cast<std::size_t>(stream);
  {
    std::scoped_lock lock(stream_mutex_[s]);
    for (std::size_t p = 0; p < next_[s].size(); ++p) end_[s][p] = next_[s][p];
  }
  std::scoped_lock lock(read_mutex_);
  ++version_;
  changed_.notify_all();
}

void EmbeddedLog::look_at_disk() {
  std::error_code ec;
  const auto space = std::filesystem::space(directory_, ec);
  if (ec) return;
  disk_free_bytes_.Set(static_cast<double>(space.available));
  const bool full = space.available < config_.disk_reserve_bytes;
  if (!full && disk_full_) {
    if (!db_.resume()) return;
    spdlog::info("event=disk_has_room free_bytes={}", space.available);
  }
  if (full && !disk_full_)
    spdlog::warn("event=disk_full free_bytes={} reserve_bytes={}", space.available, config_.disk_reserve_bytes);
  disk_full_ = full;
  // Twice the share ends it, or it would come and go with each compaction.
  const auto share = config_.disk_reserve_bytes / feedback_share;
  const bool scarce = space.available < config_.disk_reserve_bytes + (disk_scarce_ ? 2 * share : share);
  if (scarce && !disk_scarce_ && !full)
    spdlog::warn("event=disk_nearly_full free_bytes={} reserve_bytes={} act=\"feedback alone is taken\"",
                 space.available, config_.disk_reserve_bytes);
  if (!scarce && disk_scarce_)
    spdlog::info("event=disk_has_room free_bytes={} act=\"all is taken again\"", space.available);
  disk_scarce_ = scarce;
}

Result<void> EmbeddedLog::writable() const {
  if (config_.read_only) return Error::unsupported;
  if (broken_) return Error::log_unavailable;
  if (disk_full_) return Error::log_full;
  if (stalled_.stalled()) {
    if (!stall_said_.exchange(true))
      spdlog::error("event=log_stalled act=\"nothing is accepted until the disk answers\"");
    return Error::log_unavailable;
  }
  return {};
}

Offset EmbeddedLog::end(StreamPartition where) const {
  return end_[static_cast<std::size_t>(where.stream)][static_cast<std::size_t>(where.partition)];
}

Offset EmbeddedLog::first(StreamPartition where) const {
  return first_[static_cast<std::size_t>(where.stream)][static_cast<std::size_t>(where.partition)];
}

}  // namespace assay
