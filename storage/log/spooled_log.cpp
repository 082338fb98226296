#include "storage/log/spooled_log.hpp"

namespace assay {

// Counts one append that waits for Kafka.
class SpooledLog::InFlight {
 public:
  // Progress is noted before the first is counted: who sees that one is in flight does not see an older time.
  explicit InFlight(SpooledLog& log) : log_(log) {
    auto count = log_.in_flight_.load();
    do {
      if (count == 0) log_.progress_ = Steady::now().time_since_epoch().count();
    } while (!log_.in_flight_.compare_exchange_weak(count, count + 1));
  }
  ~InFlight() { --log_.in_flight_; }
  InFlight(const InFlight&) = delete;
  void acknowledged() { log_.progress_ = Steady::now().time_since_epoch().count(); }

 private:
  SpooledLog& log_;
};

SpooledLog::SpooledLog(Spool& spool, EventLog* upstream, OpenUpstream open, SpooledLogConfig config)
    : spool_(spool),
      open_(std::move(open)),
      config_(config),
      upstream_(upstream),
      progress_(Steady::now().time_since_epoch().count()),
      drain_step_(config_.stuck_after),
      drain_([this](std::stop_token stop) { drain_until_stopped(stop); }) {}

SpooledLog::~SpooledLog() { stop(); }

bool SpooledLog::stalled() const {
  if (in_flight_ == 0) return false;  // asked first, see InFlight
  const Steady::duration since(Steady::now().time_since_epoch().count() - progress_.load());
  return since > config_.stalled_after;
}

// Kafka is there, and must get nothing more: nor must the spool, from which it would go the same way.
bool SpooledLog::changed() const {
  const auto* upstream = upstream_.load();
  if (!upstream) return false;
  const auto writable = upstream->writable();
  return !writable && writable.error() == Error::log_changed;
}

bool SpooledLog::reachable() const {
  const auto* upstream = upstream_.load();
  return upstream && !stuck_ && !stalled() && upstream->writable();
}

bool SpooledLog::direct() const { return spool_.empty() && reachable(); }

// Over capacity while Kafka goes on acknowledging is load, and load is refused; the rest says that Kafka is away. What
// is the record's own fault stays its fault.
bool SpooledLog::for_the_spool(const error_code& failure, const EventLog& upstream) const {
  if (failure == Error::over_capacity) return stalled() || !upstream.writable();
  return failure == Error::timed_out || failure == Error::log_unavailable;
}

Task<Result<Appended>> SpooledLog::to_spool(Record record, error_code before) {
  std::vector<Record> one;
  one.push_back(std::move(record));
  auto results = co_await spool_.append_all(std::move(one));
  // Kafka may have what the spool refused: "nothing was written" would be too much to say.
  if (!results.front() && before && before != Error::over_capacity) co_return before;
  co_return results.front();
}

Task<void> SpooledLog::while_closing() {
  const auto closing = closings_.load();
  const Steady::time_point until(Steady::duration(closing_until_.load()));
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Steady::now());
  if (left.count() > 0) (void)co_await closed_.wait(closing, left);
}

Task<Result<Appended>> SpooledLog::append(Record record) {
  if (!direct() && changed()) co_return Error::log_changed;
  if (!direct()) co_await while_closing();
  if (!direct()) co_return co_await to_spool(std::move(record), {});
  auto* const upstream = upstream_.load();
  Record copy = record;  // librdkafka keeps the bytes of one that it gave no answer to
  Result<Appended> result;
  {
    InFlight in_flight(*this);
    result = co_await upstream->append(std::move(record));
    if (result) in_flight.acknowledged();
  }
  if (result || !for_the_spool(result.error(), *upstream)) co_return result;
  co_return co_await to_spool(std::move(copy), result.error());
}

Task<std::vector<Result<Appended>>> SpooledLog::append_all(std::vector<Record> records) {
  if (!direct() && changed()) co_return std::vector<Result<Appended>>(records.size(), Error::log_changed);
  if (!direct()) co_await while_closing();
  if (!direct()) co_return co_await spool_.append_all(std::move(records));
  auto* const upstream = upstream_.load();
  auto copies = records;
  std::vector<Result<Appended>> results;
  {
    InFlight in_flight(*this);
    results = co_await upstream->append_all(std::move(records));
    for (const auto& result : results)
      if (result) in_flight.acknowledged();
  }
  std::vector<std::size_t> failed;
  std::vector<Record> again;
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (results[i] || !for_the_spool(results[i].error(), *upstream)) continue;
    failed.push_back(i);
    again.push_back(std::move(copies[i]));
  }
  if (failed.empty()) co_return results;
  const auto spooled = co_await spool_.append_all(std::move(again));
  for (std::size_t i = 0; i < failed.size(); ++i) {
    auto& result = results[failed[i]];
    if (spooled[i] || result.error() == Error::over_capacity) result = spooled[i];
  }
  co_return results;
}

// Of an append whose own answer was not kept: while one may have gone to the spool, no more than that is promised.
std::string_view SpooledLog::durability() const {
  return direct() ? upstream_.load()->durability() : spool_.durability();
}

Result<void> SpooledLog::writable() const {
  if (direct()) return {};
  if (changed()) return Error::log_changed;
  return spool_.writable();
}

Partition SpooledLog::partitions(Stream stream) const {
  const auto* upstream = upstream_.load();
  return upstream ? upstream->partitions(stream) : config_.partitions[static_cast<std::size_t>(stream)];
}

}  // namespace assay
