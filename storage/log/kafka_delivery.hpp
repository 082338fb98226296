#pragma once
// What KafkaLog keeps of a record from produce to delivery report, and of whoever waits for it.
#include <boost/intrusive/list.hpp>
#include <chrono>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "ops/runtime/task.hpp"
#include "storage/log/event_log.hpp"

namespace assay {

// One append or append_all that waits. Lives in its coroutine's frame; guarded by the log's mutex.
struct KafkaWaiter {
  using Handler = asio::async_result<std::decay_t<decltype(use_task)>, void()>::handler_type;

  std::span<Result<Appended>> results;  // in the same frame
  std::size_t open = 0;                 // results still to come
  std::optional<Handler> handler;       // set once it is suspended
};

// librdkafka borrows the record's bytes until the report, so this lives until then. Its waiter may leave earlier, when
// its time is up: then `waiter` is null and the report only returns the delivery to the pool. So each is answered once.
struct KafkaDelivery : boost::intrusive::list_base_hook<> {
  Record record;
  KafkaWaiter* waiter = nullptr;
  std::size_t index = 0;  // of its result in the waiter
  std::size_t bytes = 0;
  std::chrono::steady_clock::time_point since;
};

// In the order of their deadlines, because all have the same time limit.
using KafkaDeliveries = boost::intrusive::list<KafkaDelivery, boost::intrusive::constant_time_size<false>>;

// Deliveries are used again: no allocation for each append. Not thread-safe.
class KafkaDeliveryPool {
 public:
  KafkaDelivery& take() {
    if (free_.empty()) return all_.emplace_back();
    auto& delivery = *free_.back();
    free_.pop_back();
    return delivery;
  }
  void give_back(KafkaDelivery& delivery) {
    delivery.record = Record();
    delivery.waiter = nullptr;
    free_.push_back(&delivery);
  }

 private:
  std::deque<KafkaDelivery> all_;
  std::vector<KafkaDelivery*> free_;
};

}  // namespace assay
