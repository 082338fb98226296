// KafkaLog: deadlines, the producer's replacement, reachability, the end.
#include <simdjson.h>

#include <algorithm>
#include <condition_variable>
#include <system_error>

#include "ops/runtime/log.hpp"
#include "storage/log/kafka_error.hpp"
#include "storage/log/kafka_log.hpp"
#include "storage/log/kafka_metadata.hpp"

namespace assay {
namespace {

constexpr int stuck_after = 2;  // times the limit of one append
constexpr std::chrono::seconds away_after{1};
constexpr std::chrono::milliseconds topics_limit{2'000};  // bounds what the end waits for

}  // namespace

void KafkaLog::replace_producer(std::string_view reason) {
  spdlog::error("event=kafka_producer_replaced error=\"{}\"", reason);
  producer_since_ = Steady::now();
  auto next = KafkaProducer::open(config_, event_fd_);
  if (!next) {  // the next sweep tries again
    spdlog::error("event=kafka_producer_not_replaced error=\"{}\"", next.error());
    std::scoped_lock lock(mutex_);
    replace_ = true;
    return;
  }
  retired_.push_back(producer_);
  {
    std::scoped_lock lock(mutex_);
    producer_ = std::move(*next);
    replace_ = false;
  }
  retired_.back()->purge();
  metrics_.replacements.Increment();
}

// Where it has failed fatally; whether it has.
bool KafkaLog::replace_if_failed() {
  {
    std::scoped_lock lock(mutex_);
    if (!replace_) return false;
  }
  replace_producer("a fatal error");
  return true;
}

// librdkafka 2.0.2 that asks for its producer id while the brokers still load may never get one: it takes records and
// sends none, and says nothing. So a producer is given up, too, when brokers are there and have acknowledged nothing
// for so long, although it was asked to append.
bool KafkaLog::producer_is_stuck() const {
  if (!reachable_ || last_timed_out_ <= last_acknowledged_) return false;
  const auto acknowledged = Steady::time_point(Steady::duration(last_acknowledged_.load()));
  return Steady::now() - std::max(acknowledged, producer_since_) > stuck_after * config_.append_timeout;
}

void KafkaLog::send_again() {
  Handlers ready;
  {
    std::scoped_lock lock(mutex_);
    if (replace_ || unsent_.empty()) return;
    std::vector<KafkaDelivery*> unsent;
    unsent.swap(unsent_);
    for (auto* delivery : unsent) {
      const auto code =
          delivery->waiter ? producer_->produce(delivery->record, delivery) : RD_KAFKA_RESP_ERR__TIMED_OUT;
      if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        metrics_.sent_again.Increment();
      } else if (code == RD_KAFKA_RESP_ERR__FATAL) {
        replace_ = true;
        unsent_.push_back(delivery);
      } else {
        if (delivery->waiter) answer(*delivery, append_error(code), ready);
        release(*delivery);
      }
    }
  }
  run(ready);
}

void KafkaLog::schedule_sweep() {
  const auto interval =
      std::min<std::chrono::milliseconds>(std::chrono::milliseconds(100), config_.append_timeout / 10);
  sweep_timer_.expires_after(interval);
  sweep_timer_.async_wait([this, alive = std::weak_ptr(alive_)](const error_code& ec) {
    if (ec || alive.expired()) return;
    sweep();
    if (!alive.expired()) schedule_sweep();
  });
}

// One at a time: home's thread must not wait for the end of the one before.
void KafkaLog::end_retired() {
  const auto at = std::ranges::find_if(retired_, [](const auto& producer) { return producer->outstanding() == 0; });
  if (at == retired_.end() || burying_) return;
  const auto ended = std::make_shared<std::shared_ptr<KafkaProducer>>(std::move(*at));
  retired_.erase(at);
  burying_ = true;
  try {
    undertaker_ = std::jthread([this, ended] {
      ended->reset();
      burying_ = false;
    });
  } catch (const std::system_error& e) {  // no thread is to be had: the next sweep tries again
    burying_ = false;
    retired_.push_back(std::move(*ended));
  }
}

void KafkaLog::sweep() {
  end_retired();
  if (!replace_if_failed() && producer_is_stuck()) replace_producer("nothing is acknowledged");
  send_again();
  Handlers ready;
  expire(Steady::now() - config_.append_timeout, Error::timed_out, ready);
  run(ready);
}

void KafkaLog::expire(Steady::time_point before, Error why, Handlers& ready) {
  std::scoped_lock lock(mutex_);
  while (!waited_for_.empty() && waited_for_.front().since <= before) {
    answer(waited_for_.front(), why, ready);
    metrics_.timed_out.Increment();
    last_timed_out_ = Steady::now().time_since_epoch().count();
  }
}

void KafkaLog::refuse(std::string_view problem) {
  if (!changed_.exchange(true)) spdlog::error("event=topics_changed problem=\"{}\" act=\"refuse appends\"", problem);
}

// A topic that is missing is no change: appends to it fail by themselves, and it may be made again.
void KafkaLog::watch_topics(std::stop_token stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  for (;;) {
    std::unique_lock sleep(mutex);
    never.wait_for(sleep, stop, config_.topics_every, [] { return false; });
    if (stop.stop_requested()) return;
    if (!reachable_) continue;
    std::shared_ptr<KafkaProducer> producer;
    {
      std::scoped_lock lock(mutex_);
      producer = producer_;
    }
    const auto now = ask_partition_counts(producer->client(), config_, topics_limit);
    if (!now) continue;
    if (const auto problem = partitions_changed(config_, partitions_, *now)) refuse(*problem);
  }
}

Result<void> KafkaLog::writable() const {
  if (changed_) return Error::log_changed;
  if (!reachable_) return Error::log_unavailable;
  // Brokers that answer but don't acknowledge (too few in-sync replicas): until it has passed, or another append tells.
  const Steady::duration since(Steady::now().time_since_epoch().count() - last_timed_out_.load());
  if (last_timed_out_ > last_acknowledged_ && since < config_.append_timeout) return Error::log_unavailable;
  return {};
}

// Not at once: a connection that a broker ends because it idles is made again within a second.
bool KafkaLog::away() const {
  const Steady::duration since(Steady::now().time_since_epoch().count() - unreachable_since_.load());
  return !reachable_ && since > away_after;
}

void KafkaLog::set_reachable(bool reachable) {
  if (!reachable && reachable_) unreachable_since_ = Steady::now().time_since_epoch().count();
  if (reachable_.exchange(reachable) == reachable) return;
  metrics_.reachable.Set(reachable);
  if (reachable)
    spdlog::info("event=kafka_reachable brokers={}", config_.brokers);
  else
    spdlog::warn("event=kafka_unreachable brokers={}", config_.brokers);
}

// {"brokers":{NAME:{"nodeid":1,"state":"UP",…},…},…}: librdkafka tells when all are down, but not when one is back.
void KafkaLog::on_statistics(std::string_view json) {
  const simdjson::padded_string padded(json);
  simdjson::ondemand::parser parser;
  simdjson::ondemand::document document;
  simdjson::ondemand::object brokers;
  if (parser.iterate(padded).get(document) || document["brokers"].get(brokers)) return;
  bool any = false, up = false;
  for (auto field : brokers) {
    simdjson::ondemand::object broker;
    std::string_view state;
    if (field.value().get(broker) || broker["state"].get(state)) continue;
    any = true;
    up = up || state == "UP";
  }
  if (any) set_reachable(up);
}

Task<void> KafkaLog::close(std::chrono::milliseconds limit) {
  const auto deadline = Steady::now() + limit;
  Timer pause(home_);
  for (;;) {
    {
      std::scoped_lock lock(mutex_);
      closed_ = true;
      if (waited_for_.empty()) co_return;
    }
    if (Steady::now() >= deadline) break;
    pause.expires_after(std::chrono::milliseconds(2));
    co_await pause.async_wait(as_result);
  }
  Handlers ready;
  expire(Steady::time_point::max(), Error::log_unavailable, ready);
  run(ready);
}

}  // namespace assay
