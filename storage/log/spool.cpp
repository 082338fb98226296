#include "storage/log/spool.hpp"

#include <filesystem>

#include "ops/runtime/log.hpp"
#include "storage/log/embedded_format.hpp"
#include "storage/log/feedback_share.hpp"
#include "storage/log/spool_format.hpp"
#include "storage/records/feedback_record.hpp"

namespace assay {
namespace {

constexpr StreamPartition queue{Stream::feedback, 0};

std::string aside_key(Offset offset) { return "spool/aside/" + big_endian(static_cast<std::uint64_t>(offset)); }

}  // namespace

Spool::Spool(Db& db, const std::string& directory, SpoolConfig config, const Clock& clock, Metrics& metrics)
    : db_(db),
      directory_(directory),
      config_(config),
      clock_(clock),
      oldest_ms_(clock.now().time_since_epoch().count()),
      bytes_gauge_(metrics.gauge("assay_spool_bytes", "Bytes on the spool, which wait for Kafka")),
      records_gauge_(metrics.gauge("assay_spool_records", "Records on the spool")),
      room_gauge_(metrics.gauge("assay_spool_room_bytes", "Bytes that the spool would still take")),
      age_gauge_(metrics.gauge("assay_spool_age_seconds", "Since the first record on the spool was accepted")),
      spooled_total_(metrics.counter("assay_spool_appended_total", "Records that went to the spool")),
      drained_total_(metrics.counter("assay_spool_drained_total", "Records that Kafka got from the spool")),
      aside_total_(metrics.counter("assay_spool_aside_total",
                                   "Records of the spool that Kafka refuses for good, kept beside it")) {
  metrics.on_collect([this] { collect(); });
}

Result<std::unique_ptr<Spool>, std::string> Spool::open(Db& db, const std::string& directory, SpoolConfig config,
                                                        const Clock& clock, Metrics& metrics) {
  std::unique_ptr<Spool> spool(new Spool(db, directory, config, clock, metrics));
  auto log =
      EmbeddedLog::open(db, directory, {.partitions = 1, .disk_reserve_bytes = config.disk_reserve_bytes}, metrics);
  if (!log) return log.error();
  spool->log_ = std::move(*log);
  if (const auto counted = spool->count(); !counted) return "the spool can't be read: " + counted.error().message();
  auto source = spool->log_->open({{queue, spool->log_->first(queue)}});
  if (!source) return "the spool can't be read: " + source.error().message();
  spool->source_ = std::move(*source);
  if (const auto room = spool->room(); room < config.bytes_max - std::min(config.bytes_max, spool->bytes()))
    spdlog::warn("event=spool_larger_than_disk spool_bytes_max={} room_bytes={} disk_reserve_bytes={}",
                 config.bytes_max, room, config.disk_reserve_bytes);
  if (!spool->empty())
    spdlog::info("event=spool_left records={} bytes={}", spool->records_.load(), spool->bytes_.load());
  spool->look_at_room();
  return spool;
}

Result<bool> Spool::left(const Db& db) {
  bool any = false;
  const auto scanned = db.scan(*embedded::family_of(queue.stream), "", "", [&any](std::string_view, std::string_view) {
    any = true;
    return false;
  });
  if (!scanned) return {boost::system::in_place_error, scanned.error()};
  return any;
}

Result<void> Spool::count() {
  std::size_t bytes = 0, records = 0;
  const auto scanned = db_.scan(*embedded::family_of(queue.stream), embedded::key_of(0, log_->first(queue)),
                                embedded::key_of(1, 0), [&](std::string_view, std::string_view value) {
                                  const auto parts = embedded::parts_of(value);
                                  const auto record = parts ? parts->value : value;
                                  if (const auto at = spooled_at(record); records == 0 && at && *at != Instant())
                                    oldest_ms_ = at->time_since_epoch().count();
                                  bytes += record.size();
                                  ++records;
                                  return true;
                                });
  if (!scanned) return scanned;
  bytes_ = bytes;
  records_ = records;
  return {};
}

bool Spool::reserve(std::size_t bytes, std::size_t records, std::size_t bytes_max) {
  auto now = bytes_.load();
  do {
    if (now + bytes > bytes_max) return false;
  } while (!bytes_.compare_exchange_weak(now, now + bytes));
  if (records_.fetch_add(records) == 0) oldest_ms_ = clock_.now().time_since_epoch().count();
  return true;
}

void Spool::release(std::size_t bytes, std::size_t records) {
  bytes_ -= bytes;
  records_ -= records;
  look_at_room();
}

// Says once that it gets full, and once that it has room again: twice the share, for at its edge records come and go.
// `refused`: something that begins a trace did not fit beside the share.
void Spool::look_at_room(bool refused) {
  const auto share = config_.bytes_max / feedback_share;
  const auto left = config_.bytes_max - std::min(config_.bytes_max, bytes_.load());
  const bool nearly = left < share || (refused && left < 2 * share);
  const auto now = left < config_.room_min ? Said::full : nearly ? Said::nearly_full : Said::room;
  auto before = said_.load();
  do {
    if (now == Said::room ? before == Said::room || left < 2 * share : now <= before) return;
  } while (!said_.compare_exchange_weak(before, now));
  if (now == Said::room)
    spdlog::info("event=spool_room room_bytes={} act=\"all is taken again\"", left);
  else if (now == Said::nearly_full)
    spdlog::warn("event=spool_nearly_full room_bytes={} records={} act=\"feedback alone is taken\"", left,
                 records_.load());
  else
    spdlog::error("event=spool_full room_bytes={} records={} act=\"not ready; what has no room is refused\"", left,
                  records_.load());
}

Task<std::vector<Result<Appended>>> Spool::append_all(std::vector<Record> records) {
  std::vector<Record> whole;
  whole.reserve(records.size());
  std::size_t bytes = 0;
  error_code refused;
  for (const auto& record : records) {
    whole.push_back({.stream = queue.stream, .key = {}, .value = encode_spooled(record)});
    const auto size = whole.back().value->size();
    bytes += size;
    const auto most =
        record.stream == Stream::feedback ? feedback_bytes_max(config_.record_bytes_max) : config_.record_bytes_max;
    if (size > most) refused = boost::system::errc::make_error_code(boost::system::errc::message_size);
  }
  const bool begins = begins_a_trace(records);
  const auto bytes_max = config_.bytes_max - (begins ? config_.bytes_max / feedback_share : 0);
  if (!refused && begins && feedback_alone()) {
    look_at_room();  // what was drained meanwhile may have been said too early
    if (feedback_alone()) refused = Error::log_full;
  }
  if (!refused && !reserve(bytes, whole.size(), bytes_max)) {
    look_at_room(begins);
    refused = Error::log_full;
  }
  if (refused) co_return std::vector<Result<Appended>>(records.size(), refused);
  const auto count = whole.size();
  auto results = co_await log_->append_all(std::move(whole));
  const bool failed = std::any_of(results.begin(), results.end(), [](const auto& r) { return !r.has_value(); });
  if (failed) {
    release(bytes, count);
    co_return results;
  }
  look_at_room();
  spooled_total_.Increment(static_cast<double>(count));
  for (auto& result : results) result = Appended{.durability = log_->durability()};
  co_return results;
}

std::size_t Spool::room() const {
  const auto room = config_.bytes_max - std::min(config_.bytes_max, bytes_.load());
  std::error_code ec;
  const auto space = std::filesystem::space(directory_, ec);
  if (ec) return room;
  const auto free = space.available - std::min<std::uintmax_t>(space.available, config_.disk_reserve_bytes);
  return static_cast<std::size_t>(std::min<std::uintmax_t>(room, free));
}

Result<void> Spool::writable() const {
  if (auto writable = log_->writable(); !writable) return writable;
  if (room() < config_.room_min) return Error::log_full;
  return {};
}

Offset Spool::end() const { return log_->end(queue); }

bool Spool::taken_off(Offset before) const { return log_->first(queue) >= before; }

Result<std::vector<Spool::Queued>> Spool::first(std::size_t records_max, std::chrono::milliseconds wait) {
  if (const auto finished = finish_removal(); !finished) return finished.error();
  if (const auto sought = source_->seek(queue, log_->first(queue)); !sought) return sought.error();
  const auto read = source_->read(records_max, wait);
  if (!read) return read.error();
  std::vector<Queued> out;
  out.reserve(read->size());
  for (const auto& record : *read) {
    out.push_back({record.offset, record.value.size(), decode_spooled(record.value), {}});
    if (!out.back().record) out.back().unreadable = record.value;
  }
  if (!out.empty() && out.front().record && out.front().record->accepted_at != Instant())
    oldest_ms_ = out.front().record->accepted_at.time_since_epoch().count();
  return out;
}

Result<void> Spool::remove(std::span<const Queued> queued, bool aside) {
  if (queued.empty()) return {};
  Removal removal{queued.back().offset + 1, 0, queued.size(), aside, {}};
  for (const auto& one : queued) {
    removal.bytes += one.bytes;
    if (aside)
      removal.kept.put(Family::journal, aside_key(one.offset),
                       one.record ? encode_spooled(*one.record) : one.unreadable);
  }
  removal_ = std::move(removal);
  return finish_removal();
}

// Of one whose write went well and whose sync did not, the records are gone already: it's written again, and counted
// once.
Result<void> Spool::finish_removal() {
  if (!removal_) return {};
  if (const auto forgotten = log_->forget(queue, removal_->before, removal_->kept); !forgotten) return forgotten;
  release(removal_->bytes, removal_->records);
  (removal_->aside ? aside_total_ : drained_total_).Increment(static_cast<double>(removal_->records));
  removal_.reset();
  return {};
}

std::chrono::duration<double> Spool::age() const {
  const std::chrono::duration<double> age = clock_.now() - Instant(std::chrono::milliseconds(oldest_ms_.load()));
  return empty() ? age.zero() : std::max(age.zero(), age);
}

void Spool::collect() {
  bytes_gauge_.Set(static_cast<double>(bytes_));
  records_gauge_.Set(static_cast<double>(records_));
  room_gauge_.Set(static_cast<double>(room()));
  age_gauge_.Set(age().count());
}

}  // namespace assay
