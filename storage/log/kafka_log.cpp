#include "storage/log/kafka_log.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <stdexcept>

#include "ops/runtime/log.hpp"
#include "storage/log/kafka_error.hpp"
#include "storage/log/kafka_metadata.hpp"
#include "storage/records/feedback_record.hpp"

namespace assay {
namespace {

constexpr std::size_t events_at_once = 64;  // then the io_context gets its turn
constexpr std::size_t record_overhead = 200;

std::size_t bytes_of(const Record& record) {
  std::size_t bytes = record_overhead + record.key.size() + (record.value ? record.value->size() : 0);
  for (const auto& header : record.headers) bytes += header.name.size() + header.value.size();
  return bytes;
}

// At least what librdkafka compares with message.max.bytes.
std::size_t wire_bytes_of(const Record& record) {
  std::size_t bytes = 64 + record.key.size() + (record.value ? record.value->size() : 0);
  for (const auto& header : record.headers) bytes += 20 + header.name.size() + header.value.size();
  return bytes;
}

}  // namespace

KafkaLogMetrics::KafkaLogMetrics(Metrics& metrics)
    : acknowledged(
          metrics.counter("assay_kafka_appends_total", "Appends to Kafka by result", {{"result", "acknowledged"}})),
      timed_out(metrics.counter("assay_kafka_appends_total", "Appends to Kafka by result", {{"result", "timed_out"}})),
      failed(metrics.counter("assay_kafka_appends_total", "Appends to Kafka by result", {{"result", "failed"}})),
      refused(metrics.counter("assay_kafka_appends_total", "Appends to Kafka by result", {{"result", "refused"}})),
      sent_again(metrics.counter("assay_kafka_sent_again_total", "Records sent again by a new producer")),
      replacements(metrics.counter("assay_kafka_producer_replacements_total",
                                   "Producers given up: a fatal error, or no acknowledgement while brokers are there")),
      outstanding_bytes(
          metrics.gauge("assay_kafka_outstanding_bytes", "Bytes handed to librdkafka, not yet reported on")),
      reachable(metrics.gauge("assay_kafka_reachable", "1 while at least one broker is connected")),
      latency(metrics.latency("assay_kafka_append_seconds", "From append to acknowledgement")) {}

Result<std::unique_ptr<KafkaLog>, std::string> KafkaLog::open(IoContext& home, KafkaConfig config, Metrics& metrics,
                                                              std::chrono::milliseconds limit) {
  const int event_fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (event_fd < 0) return std::string("no eventfd: too many open files");
  std::unique_ptr<KafkaLog> log(new KafkaLog(home, std::move(config), metrics, event_fd));
  auto producer = KafkaProducer::open(log->config_, event_fd);
  if (!producer) return producer.error();
  log->producer_ = std::move(*producer);
  auto counts = partition_counts(log->producer_->client(), log->config_, limit);
  if (!counts) return counts.error();
  log->partitions_ = *counts;
  log->metrics_.reachable.Set(1);
  // First, because it may throw: from then on `home` has handlers of the log's.
  log->watcher_ = std::jthread([raw = log.get()](std::stop_token stop) { raw->watch_topics(stop); });
  log->wait_for_events();
  log->schedule_sweep();
  return log;
}

KafkaLog::KafkaLog(IoContext& home, KafkaConfig config, Metrics& metrics, int event_fd)
    : config_(std::move(config)),
      record_bytes_max_(record_bytes_max(config_)),
      metrics_(metrics),
      home_(home.get_executor()),
      event_fd_(event_fd),
      events_(home_, event_fd),
      sweep_timer_(home_) {}

KafkaLog::~KafkaLog() {
  alive_.reset();
  watcher_.request_stop();
  if (watcher_.joinable()) watcher_.join();
  // librdkafka's threads read the records until the producers are gone.
  producer_.reset();
  retired_.clear();
  Handlers abandoned;
  expire(Steady::time_point::max(), Error::stopped, abandoned);
}

bool KafkaLog::fits(const Record& record) const {
  const auto most = record.stream == Stream::feedback ? feedback_bytes_max(record_bytes_max_) : record_bytes_max_;
  return wire_bytes_of(record) <= most;
}

Task<Result<Appended>> KafkaLog::append(Record record) {
  Result<Appended> result;
  KafkaWaiter waiter{{&result, 1}, 1, {}};
  submit(std::move(record), waiter, 0, Room::asked_for);
  co_await settled(waiter);
  co_return result;
}

Task<std::vector<Result<Appended>>> KafkaLog::append_all(std::vector<Record> records) {
  std::vector<Result<Appended>> results(records.size());
  // Before the first is sent: of a trace that is refused no half must stand in the log.
  if (std::ranges::any_of(records, [this](const Record& r) { return !fits(r); })) {
    metrics_.refused.Increment(static_cast<double>(records.size()));
    const auto too_long = boost::system::errc::make_error_code(boost::system::errc::message_size);
    std::ranges::fill(results, Result<Appended>(too_long));
    co_return results;
  }
  std::size_t bytes = 0;
  for (const auto& record : records) bytes += bytes_of(record);
  bool fits_in = false;
  {
    std::scoped_lock lock(mutex_);
    fits_in = has_room(bytes, records.size()) || closed_ || changed_ || away();  // which say more
  }
  if (!fits_in) {
    metrics_.refused.Increment(static_cast<double>(records.size()));
    std::ranges::fill(results, Result<Appended>(make_error_code(Error::over_capacity)));
    co_return results;
  }
  KafkaWaiter waiter{results, results.size(), {}};
  for (std::size_t i = 0; i < records.size(); ++i) submit(std::move(records[i]), waiter, i, Room::given);
  co_await settled(waiter);
  co_return results;
}

// What finds nothing outstanding has room, however much it is: it never would have else. Under the mutex.
bool KafkaLog::has_room(std::size_t bytes, std::size_t records) const {
  return outstanding_records_ == 0 || (outstanding_bytes_ + bytes <= config_.outstanding_bytes_max &&
                                       outstanding_records_ + records <= config_.outstanding_records_max);
}

void KafkaLog::submit(Record record, KafkaWaiter& waiter, std::size_t index, Room room) {
  const auto bytes = bytes_of(record);
  const bool too_long = !fits(record);
  std::unique_lock lock(mutex_);
  const bool full = room == Room::asked_for && !has_room(bytes, 1);
  const bool gone = away();
  if (closed_ || changed_ || too_long || gone || full) {
    waiter.results[index] = closed_    ? make_error_code(Error::stopped)
                            : changed_ ? make_error_code(Error::log_changed)
                            : too_long ? boost::system::errc::make_error_code(boost::system::errc::message_size)
                            : gone     ? make_error_code(Error::log_unavailable)
                                       : make_error_code(Error::over_capacity);
    --waiter.open;
    metrics_.refused.Increment();
    return;
  }
  auto& delivery = pool_.take();
  delivery.record = std::move(record);
  delivery.waiter = &waiter;
  delivery.index = index;
  delivery.bytes = bytes;
  delivery.since = Steady::now();
  waited_for_.push_back(delivery);
  outstanding_bytes_ += bytes;
  ++outstanding_records_;
  metrics_.outstanding_bytes.Set(static_cast<double>(outstanding_bytes_));
  const auto producer = producer_;
  lock.unlock();  // the report may come before produce() returns

  const auto code = producer->produce(delivery.record, &delivery);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return;
  lock.lock();
  if (code == RD_KAFKA_RESP_ERR__FATAL) {
    replace_ = replace_ || producer == producer_;
    unsent_.push_back(&delivery);
    return;
  }
  metrics_.refused.Increment();
  Handlers none;  // this waiter is not suspended yet
  if (delivery.waiter) answer(delivery, append_error(code), none);
  release(delivery);
}

Task<void> KafkaLog::settled(KafkaWaiter& waiter) {
  auto begin = [this, &waiter](auto handler) { suspend(waiter, std::move(handler)); };
  return asio::async_initiate<decltype(use_task), void()>(std::move(begin), use_task);
}

void KafkaLog::suspend(KafkaWaiter& waiter, KafkaWaiter::Handler handler) {
  const auto executor = handler.get_executor();
  if (auto slot = handler.get_cancellation_slot(); slot.is_connected())
    slot.assign([this, &waiter](asio::cancellation_type) { leave(waiter); });
  {
    std::scoped_lock lock(mutex_);
    if (waiter.open > 0) {
      waiter.handler.emplace(std::move(handler));
      return;
    }
  }
  asio::post(executor, std::move(handler));
}

// On the waiter's thread, where its handler clears the slot that calls this: the waiter is still there.
void KafkaLog::leave(KafkaWaiter& waiter) {
  Handlers ready;
  {
    std::scoped_lock lock(mutex_);
    for (auto at = waited_for_.begin(); at != waited_for_.end();) {
      auto& delivery = *at++;
      if (delivery.waiter == &waiter) answer(delivery, error_code(asio::error::operation_aborted), ready);
    }
  }
  for (auto& handler : ready) {
    const auto executor = handler.get_executor();
    asio::post(executor, std::move(handler));
  }
}

void KafkaLog::answer(KafkaDelivery& delivery, Result<Appended> result, Handlers& ready) {
  auto& waiter = *std::exchange(delivery.waiter, nullptr);
  waited_for_.erase(waited_for_.iterator_to(delivery));
  waiter.results[delivery.index] = result;
  if (--waiter.open > 0 || !waiter.handler) return;
  ready.push_back(std::move(*waiter.handler));
  waiter.handler.reset();
}

void KafkaLog::release(KafkaDelivery& delivery) {
  outstanding_bytes_ -= delivery.bytes;
  --outstanding_records_;
  pool_.give_back(delivery);
}

// One hand-over for all that wait on one thread: a report tells of hundreds of records.
void KafkaLog::run(Handlers& ready) {
  while (!ready.empty()) {
    const auto executor = ready.front().get_executor();
    Handlers batch, others;
    for (auto& handler : ready) (handler.get_executor() == executor ? batch : others).push_back(std::move(handler));
    ready.swap(others);
    asio::dispatch(executor, [batch = std::move(batch)]() mutable {  // at once where it is home's
      for (auto& handler : batch) std::move(handler)();
    });
  }
}

void KafkaLog::wait_for_events() {
  events_.async_wait(asio::posix::descriptor_base::wait_read,
                     [this, alive = std::weak_ptr(alive_)](const error_code& ec) {
                       if (ec || alive.expired()) return;
                       drain_events();
                       if (!alive.expired()) wait_for_events();
                     });
}

void KafkaLog::drain_events() {
  std::uint64_t count;
  [[maybe_unused]] const auto read = ::read(event_fd_, &count, sizeof count);
  const auto alive = std::weak_ptr(alive_);  // a waiter that is answered here may close the log
  std::size_t budget = events_at_once;
  bool all = true;
  for (auto i = retired_.size(); i-- > 0 && all;) all = drain(retired_[i], budget) && !alive.expired();
  if (all) all = drain(producer_, budget);
  if (alive.expired()) return;
  if (!all) {
    const std::uint64_t again = 1;
    [[maybe_unused]] const auto written = ::write(event_fd_, &again, sizeof again);
  }
  replace_if_failed();
  send_again();
}

// False when the budget ended first, or the log is gone.
bool KafkaLog::drain(const std::shared_ptr<KafkaProducer>& source, std::size_t& budget) {
  const auto producer = source;
  const auto alive = std::weak_ptr(alive_);
  while (auto event = producer->next_event()) {
    Handlers ready;
    switch (rd_kafka_event_type(event.get())) {
      case RD_KAFKA_EVENT_DR:
        on_reports(event.get(), producer != producer_, ready);
        break;
      case RD_KAFKA_EVENT_STATS:
        if (producer == producer_) on_statistics(rd_kafka_event_stats(event.get()));
        break;
      case RD_KAFKA_EVENT_ERROR:
        if (rd_kafka_event_error_is_fatal(event.get()) && producer == producer_)
          replace_producer(rd_kafka_event_error_string(event.get()));
        else if (rd_kafka_event_error(event.get()) == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && producer == producer_)
          set_reachable(false);
        break;
      default:
        break;
    }
    event.reset();
    run(ready);
    if (alive.expired() || --budget == 0) return false;
  }
  return true;
}

void KafkaLog::on_reports(rd_kafka_event_t* event, bool retired, Handlers& ready) {
  const auto now = Steady::now();
  std::size_t acknowledged = 0, failed = 0;
  std::vector<double> seconds;
  std::unique_lock lock(mutex_);
  while (const auto* message = rd_kafka_event_message_next(event)) {
    auto& delivery = *static_cast<KafkaDelivery*>(message->_private);
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      ++acknowledged;
      if (delivery.waiter) {
        seconds.push_back(std::chrono::duration<double>(now - delivery.since).count());
        answer(delivery, Appended{Appended::Outcome::appended, message->partition, message->offset}, ready);
      }
    } else if (delivery.waiter && (retired || message->err == RD_KAFKA_RESP_ERR__FATAL)) {
      unsent_.push_back(&delivery);
      continue;
    } else {
      ++failed;
      if (message->err != RD_KAFKA_RESP_ERR__MSG_TIMED_OUT)
        spdlog::warn("event=kafka_append_failed topic={} partition={} error=\"{}\"", rd_kafka_topic_name(message->rkt),
                     message->partition, rd_kafka_err2str(message->err));
      if (delivery.waiter) answer(delivery, append_error(message->err), ready);
    }
    release(delivery);
  }
  metrics_.outstanding_bytes.Set(static_cast<double>(outstanding_bytes_));
  lock.unlock();  // those who append want it
  for (const auto took : seconds) metrics_.latency.Observe(took);
  metrics_.acknowledged.Increment(static_cast<double>(acknowledged));
  metrics_.failed.Increment(static_cast<double>(failed));
  if (acknowledged == 0) return;
  last_acknowledged_ = now.time_since_epoch().count();
  if (!retired) set_reachable(true);
}

std::string KafkaLog::cluster_id() const { return assay::cluster_id(producer_->client()); }

}  // namespace assay
