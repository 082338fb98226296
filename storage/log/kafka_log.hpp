#pragma once
// The event log on Apache Kafka: accepted means acknowledged by all in-sync replicas.
#include <atomic>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <mutex>
#include <thread>

#include "ops/runtime/metrics.hpp"
#include "storage/log/event_log.hpp"
#include "storage/log/kafka_delivery.hpp"
#include "storage/log/kafka_producer.hpp"

namespace assay {

struct KafkaLogMetrics {
  explicit KafkaLogMetrics(Metrics& metrics);
  Counter& acknowledged;
  Counter& timed_out;     // the waiter's time was up; the record may still have been written
  Counter& failed;        // the brokers, or librdkafka, gave it up
  Counter& refused;       // over a bound: nothing was written
  Counter& sent_again;    // by a new producer, after a fatal error of the one before
  Counter& replacements;  // of the producer
  Gauge& outstanding_bytes;
  Gauge& reachable;    // 1 while some broker is
  Histogram& latency;  // from append to acknowledgement
};

// Delivery reports arrive on `home` through an eventfd; no thread polls. append() may be called on any executor.
//
// A record's bytes are counted from append to its report, also after its waiter has left: while no broker answers, the
// log is over_capacity once outstanding_bytes_max are waiting.
//
// While it is known that no broker is there, for a second now, appends are log_unavailable at once: nobody waits for
// the end of his time in vain. (librdkafka looks for the brokers by itself.)
//
// Now and then it looks whether the topics still have the partitions that they had at open(). Once they have not it is
// log_changed, for good: a key's place depends on their number, and feedback would miss its trace.
//
// librdkafka's idempotent producer may fail fatally (upstream 4438: sequence numbers out of step after a lost
// connection). Then a new producer takes over and sends again what was not acknowledged and is still waited for. What
// the old one had written may be there twice: record ids are the same, and the workers drop repeats.
class KafkaLog final : public EventLog {
 public:
  // Blocks up to `limit` for the brokers. Errors are sentences: no broker answers, a topic is missing, feedback,
  // requests and parked differ in their number of partitions. `home` and `metrics` outlive the log.
  static Result<std::unique_ptr<KafkaLog>, std::string> open(IoContext& home, KafkaConfig config, Metrics& metrics,
                                                             std::chrono::milliseconds limit);
  // On home's thread, or when it has stopped. Who still waits is never answered: close() first.
  ~KafkaLog() override;

  Task<Result<Appended>> append(Record record) override;
  Task<std::vector<Result<Appended>>> append_all(std::vector<Record> records) override;
  std::string_view durability() const override { return "kafka"; }
  Result<void> writable() const override;
  Partition partitions(Stream stream) const override { return partitions_[static_cast<std::size_t>(stream)]; }

  // The cluster's own id; empty where no broker says it within some seconds. Right after open(), on its thread.
  std::string cluster_id() const;

  // Refuses appends from now on (log_changed), and says why: what is appended here would go astray.
  void refuse(std::string_view problem);

  // Refuses appends from now on (stopped), and returns when all are answered, at the latest after `limit`: what is not
  // acknowledged by then is answered log_unavailable. On home's executor.
  Task<void> close(std::chrono::milliseconds limit);

 private:
  using Steady = std::chrono::steady_clock;
  using Handlers = std::vector<KafkaWaiter::Handler>;

  KafkaLog(IoContext& home, KafkaConfig config, Metrics& metrics, int event_fd);

  bool fits(const Record& record) const;
  bool has_room(std::size_t bytes, std::size_t records) const;
  enum class Room { asked_for, given };
  void submit(Record record, KafkaWaiter& waiter, std::size_t index, Room room);
  Task<void> settled(KafkaWaiter& waiter);  // ends when all its results are there
  void suspend(KafkaWaiter& waiter, KafkaWaiter::Handler handler);
  void leave(KafkaWaiter& waiter);
  // Under the mutex; adds the waiter's handler to `ready` with its last result.
  void answer(KafkaDelivery& delivery, Result<Appended> result, Handlers& ready);
  void release(KafkaDelivery& delivery);
  static void run(Handlers& ready);

  void wait_for_events();
  void drain_events();
  bool drain(const std::shared_ptr<KafkaProducer>& producer, std::size_t& budget);
  void on_reports(rd_kafka_event_t* event, bool retired, Handlers& ready);
  void on_statistics(std::string_view json);
  void set_reachable(bool reachable);
  bool away() const;
  void replace_producer(std::string_view reason);
  bool replace_if_failed();
  bool producer_is_stuck() const;
  void send_again();
  void schedule_sweep();
  void sweep();
  void end_retired();
  void watch_topics(std::stop_token stop);
  void expire(Steady::time_point before, Error why, Handlers& ready);

  const KafkaConfig config_;
  const std::size_t record_bytes_max_;
  KafkaLogMetrics metrics_;
  std::array<Partition, std::size(all_streams) + 1> partitions_{};
  Executor home_;
  int event_fd_;
  asio::posix::basic_stream_descriptor<Executor> events_;
  Timer sweep_timer_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // handlers that outlive the log see it gone

  mutable std::mutex mutex_;
  KafkaDeliveryPool pool_;
  KafkaDeliveries waited_for_;          // oldest first
  std::vector<KafkaDelivery*> unsent_;  // to be taken by the next producer, in order
  std::size_t outstanding_bytes_ = 0;
  std::size_t outstanding_records_ = 0;
  bool closed_ = false;
  std::shared_ptr<KafkaProducer> producer_;
  Steady::time_point producer_since_ = Steady::now();    // home's thread only
  bool replace_ = false;                                 // the producer has failed fatally
  std::vector<std::shared_ptr<KafkaProducer>> retired_;  // home only: until their reports are in
  std::atomic<bool> burying_{false};                     // the undertaker is at work
  std::jthread undertaker_;                              // ends them: that takes librdkafka up to a second

  std::atomic<bool> reachable_{true};
  std::atomic<Steady::rep> unreachable_since_{0};
  std::atomic<bool> changed_{false};
  std::atomic<Steady::rep> last_acknowledged_{0};
  std::atomic<Steady::rep> last_timed_out_{0};
  std::jthread watcher_;  // of the topics: a thread, because it waits for the answer
};

}  // namespace assay
