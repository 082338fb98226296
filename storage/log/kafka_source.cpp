#include "storage/log/kafka_source.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "ops/runtime/log.hpp"
#include "ops/runtime/log_value.hpp"
#include "storage/log/kafka_error.hpp"
#include "storage/log/kafka_topics.hpp"

namespace assay {
namespace {

using Steady = std::chrono::steady_clock;
// A new leader may know less of the end, for a moment, than its predecessor told.
constexpr std::chrono::milliseconds position_retry_after{100};
constexpr std::chrono::milliseconds reposition_limit{5'000};
constexpr std::chrono::milliseconds find_again_after{10'000};  // of a partition that could not be found, by read()
constexpr Stream quiet_stream = Stream::catalog;
// wake() adds this to the eventfd, librdkafka one for each queue that is no longer empty.
constexpr std::uint64_t wake_mark = std::uint64_t{1} << 32;

std::chrono::milliseconds until(Steady::time_point deadline) {
  return std::max(std::chrono::milliseconds(0), std::chrono::ceil<std::chrono::milliseconds>(deadline - Steady::now()));
}

}  // namespace

Result<std::unique_ptr<KafkaSource>> KafkaSource::open(const KafkaConfig& config, std::vector<StartAt> starts,
                                                       std::chrono::milliseconds limit) {
  const auto deadline = Steady::now() + limit;
  const int event_fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (event_fd < 0) return error_code(errno, boost::system::system_category());
  std::unique_ptr<KafkaSource> source(new KafkaSource(event_fd));
  auto conf = source_conf(config);
  if (conf) {
    rd_kafka_conf_set_opaque(conf->get(), source.get());
    rd_kafka_conf_set_error_cb(conf->get(), &KafkaSource::on_client_error);
  }
  auto client = conf ? make_client(RD_KAFKA_CONSUMER, std::move(*conf)) : conf.error();
  if (!client) {
    spdlog::error("event=kafka_source_not_opened error=\"{}\"", client.error());
    return Error::unsupported;
  }
  source->client_ = std::move(*client);
  source->followed_.reserve(starts.size());
  for (const auto& start : starts) {
    auto& topic = source->topics_[start.from.stream];
    if (!topic)
      topic.reset(rd_kafka_topic_new(source->client_.get(), topic_of(config, start.from.stream).c_str(), nullptr));
    source->followed_.push_back({.where = start.from, .topic = topic.get(), .queue = {}, .next = start.offset});
    if (auto found = source->find_position(source->followed_.back(), until(deadline)); !found) return found.error();
  }
  // After all positions are known: a fetch that is under way holds up the requests behind it.
  for (auto& followed : source->followed_)
    if (auto started = source->start(followed); !started) return started.error();
  source->quiet_topic_.reset(
      rd_kafka_topic_new(source->client_.get(), topic_of(config, quiet_stream).c_str(), nullptr));
  source->stay_awake();
  return source;
}

KafkaSource::~KafkaSource() {
  clear();
  for (auto& followed : followed_) stop(followed);
  if (quiet_queue_) rd_kafka_consume_stop(quiet_topic_.get(), 0);
  quiet_queue_.reset();
  quiet_topic_.reset();
  followed_.clear();
  topics_.clear();
  client_.reset();
  ::close(event_fd_);
}

// Where to start, by the log's first and end.
Result<void> KafkaSource::find_position(PartitionFetch& followed, std::chrono::milliseconds limit) {
  const auto deadline = Steady::now() + limit;
  for (;;) {
    Offset first = 0, end = 0;
    const auto code = rd_kafka_query_watermark_offsets(
        client_.get(), rd_kafka_topic_name(followed.topic), followed.where.partition, &first, &end,
        static_cast<int>(std::max<std::int64_t>(1, until(deadline).count())));
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && followed.next <= end) {
      std::scoped_lock lock(mutex_);
      if (followed.next < first) {
        followed.trimmed = {followed.trimmed ? followed.trimmed->from : followed.next, first};
        followed.next = first;
      }
      followed.end = end;
      return {};
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) followed.doubtful = true;
    if (Steady::now() + position_retry_after < deadline) {
      std::this_thread::sleep_for(position_retry_after);
      continue;
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return read_error(code);
    spdlog::error("event=kafka_position_past_end topic={} partition={} position={} end={}",
                  rd_kafka_topic_name(followed.topic), followed.where.partition, followed.next, end);
    return Error::corrupt;
  }
}

Result<void> KafkaSource::start(PartitionFetch& followed) {
  KafkaQueue queue(rd_kafka_queue_new(client_.get()));
  static const std::uint64_t one = 1;
  rd_kafka_queue_io_event_enable(queue.get(), event_fd_, &one, sizeof one);
  if (rd_kafka_consume_start_queue(followed.topic, followed.where.partition, followed.next, queue.get()) == -1)
    return read_error(rd_kafka_last_error());
  std::scoped_lock lock(mutex_);
  followed.at_end = false;
  followed.queue = std::move(queue);
  return {};
}

// Where each partition has more in its queue than it may (queued.min.messages), librdkafka before 2.2 sleeps for a
// second before it looks again, however soon the queues are empty. A partition at its end has a fetch under way all the
// time, and each answer (fetch.wait.max.ms) makes it look at the others, too: so one that hardly anything is written to
// is fetched beside them, and dropped.
void KafkaSource::stay_awake() {
  if (std::ranges::any_of(followed_, [](const PartitionFetch& f) { return f.where.stream == quiet_stream; })) return;
  KafkaQueue queue(rd_kafka_queue_new(client_.get()));
  if (rd_kafka_consume_start_queue(quiet_topic_.get(), 0, RD_KAFKA_OFFSET_END, queue.get()) == 0)
    quiet_queue_ = std::move(queue);
}

// Its queue goes too, with what was fetched.
void KafkaSource::stop(PartitionFetch& followed) {
  if (!followed.queue) return;
  rd_kafka_consume_stop(followed.topic, followed.where.partition);
  rd_kafka_queue_io_event_enable(followed.queue.get(), -1, nullptr, 0);
  std::scoped_lock lock(mutex_);
  followed.queue.reset();
}

Result<std::span<const LogRecord>> KafkaSource::read(std::size_t records_max, std::chrono::milliseconds wait) {
  clear();
  const auto deadline = Steady::now() + wait;
  bool woken = false;
  for (;;) {
    // Before the queues are looked at: what comes in between makes it readable again.
    std::uint64_t events = 0;
    if (::read(event_fd_, &events, sizeof events) == sizeof events) woken = woken || events >= wake_mark;
    const auto first = turn_++;
    std::size_t failed = 0;
    error_code failure;
    for (std::size_t i = 0; i < followed_.size() && batch_.size() < records_max; ++i) {
      auto& followed = followed_[(first + i) % followed_.size()];
      if (auto taken = take(followed, records_max - batch_.size()); !taken) {
        failure = taken.error();
        ++failed;
      }
    }
    // One that fails must not keep the others from theirs; it has been logged.
    if (failed == followed_.size() && failure && batch_.empty()) return failure;
    if (!batch_.empty() || woken || Steady::now() >= deadline) return std::span<const LogRecord>(batch_);
    // An end that was reported took the last room of a batch: what is behind it gives no event.
    if (!anything_queued()) wait_for_event(until(deadline));
  }
}

Result<std::span<const LogRecord>> KafkaSource::read_from(StreamPartition which, std::size_t records_max) {
  clear();
  auto* followed = find(which);
  if (!followed) return Error::not_found;
  if (auto taken = take(*followed, records_max); !taken && batch_.empty()) return taken.error();
  return std::span<const LogRecord>(batch_);
}

void KafkaSource::await(StreamPartition which, std::chrono::milliseconds limit) {
  const auto* followed = find(which);
  if (!followed) return;
  std::uint64_t events = 0;
  [[maybe_unused]] const auto drained = ::read(event_fd_, &events, sizeof events);
  if (events >= wake_mark || !followed->queue || rd_kafka_queue_length(followed->queue.get()) > 0) return;
  wait_for_event(limit);
}

Result<void> KafkaSource::take(PartitionFetch& followed, std::size_t room) {
  if (!followed.queue) {  // a seek that failed, or a position to be found again
    if (Steady::now() < followed.find_again) return Error::log_unavailable;
    followed.find_again = Steady::now() + reposition_limit + find_again_after;
    if (auto found = find_position(followed, reposition_limit); !found) return found.error();
    if (auto started = start(followed); !started) return started.error();
    followed.find_again = {};
  }
  if (room == 0 || rd_kafka_queue_length(followed.queue.get()) == 0) return {};
  scratch_.resize(room);
  const auto count = rd_kafka_consume_batch_queue(followed.queue.get(), 0, scratch_.data(), room);
  rd_kafka_resp_err_t failure = RD_KAFKA_RESP_ERR_NO_ERROR;
  {
    std::scoped_lock lock(mutex_);
    for (ssize_t i = 0; i < count; ++i) {
      auto* message = scratch_[static_cast<std::size_t>(i)];
      if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        take_record(followed, message);
        continue;
      }
      if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        followed.next = std::max(followed.next, message->offset);
        followed.end = followed.next;
        followed.at_end = true;
      } else {
        failure = message->err;
      }
      rd_kafka_message_destroy(message);
    }
  }
  return failure == RD_KAFKA_RESP_ERR_NO_ERROR ? Result<void>() : on_error(followed, failure);
}

void KafkaSource::take_record(PartitionFetch& followed, rd_kafka_message_t* message) {
  taken_.push_back(message);
  const auto* value = static_cast<const char*>(message->payload);
  const auto at = std::max<std::int64_t>(0, rd_kafka_message_timestamp(message, nullptr));  // -1: none
  batch_.push_back({followed.where.stream, followed.where.partition, message->offset,
                    std::string_view(static_cast<const char*>(message->key), message->key_len),
                    std::string_view(value, message->len), value == nullptr, Instant(std::chrono::milliseconds(at))});
  followed.next = message->offset + 1;
  followed.end = std::max(followed.end, followed.next);
  followed.at_end = false;
}

// By the reader's thread, as it takes from the queues. That a topic has gone comes this way, not as a message.
void KafkaSource::on_client_error(rd_kafka_t*, int code, const char* reason, void* opaque) {
  spdlog::warn("event=kafka_source_error error={}", log_value(reason));
  if (code != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART && code != RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC &&
      code != RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)
    return;
  for (auto& followed : static_cast<KafkaSource*>(opaque)->followed_) followed.doubtful = true;
}

Result<void> KafkaSource::on_error(PartitionFetch& followed, rd_kafka_resp_err_t failure) {
  if (failure == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET || failure == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) {
    spdlog::warn("event=kafka_position_lost topic={} partition={} position={}", rd_kafka_topic_name(followed.topic),
                 followed.where.partition, followed.next);
    followed.doubtful = true;  // when it is looked for, the log may have grown past it
    stop(followed);            // the next read finds it again
    return {};
  }
  spdlog::warn("event=kafka_read_failed topic={} partition={} error=\"{}\"", rd_kafka_topic_name(followed.topic),
               followed.where.partition, rd_kafka_err2str(failure));
  return read_error(failure);
}

Result<Offset> KafkaSource::end(StreamPartition which) {
  const auto* followed = find(which);
  if (!followed) return Error::not_found;
  std::scoped_lock lock(mutex_);
  if (followed->at_end && followed->queue && rd_kafka_queue_length(followed->queue.get()) == 0) return followed->next;
  // What the last fetch told.
  Offset first = 0, high = 0;
  const auto code = rd_kafka_get_watermark_offsets(client_.get(), rd_kafka_topic_name(followed->topic), which.partition,
                                                   &first, &high);
  const auto known = std::max(followed->end, followed->next);
  return code == RD_KAFKA_RESP_ERR_NO_ERROR ? std::max(known, high) : known;
}

Offset KafkaSource::position(StreamPartition which) const {
  const auto* followed = find(which);
  return followed ? followed->next : -1;
}

std::optional<Trimmed> KafkaSource::take_trimmed(StreamPartition which) {
  auto* followed = find(which);
  return followed ? std::exchange(followed->trimmed, {}) : std::nullopt;
}

bool KafkaSource::is_doubtful(StreamPartition which) const {
  const auto* followed = find(which);
  return followed && followed->doubtful;
}

Result<void> KafkaSource::seek(StreamPartition which, Offset offset) {
  auto* followed = find(which);
  if (!followed) return Error::not_found;
  stop(*followed);
  followed->trimmed.reset();
  {
    std::scoped_lock lock(mutex_);
    followed->next = offset;
  }
  if (auto found = find_position(*followed, reposition_limit); !found) return found.error();
  return start(*followed);
}

void KafkaSource::wake() { [[maybe_unused]] const auto written = ::write(event_fd_, &wake_mark, sizeof wake_mark); }

void KafkaSource::wait_for_event(std::chrono::milliseconds limit) {
  pollfd waited{event_fd_, POLLIN, 0};
  ::poll(&waited, 1, static_cast<int>(limit.count()));
}

bool KafkaSource::anything_queued() const {
  return std::ranges::any_of(followed_, [](const PartitionFetch& followed) {
    if (!followed.queue) return Steady::now() >= followed.find_again;
    return rd_kafka_queue_length(followed.queue.get()) > 0;
  });
}

void KafkaSource::clear() {
  batch_.clear();
  if (client_) rd_kafka_poll(client_.get(), 0);  // the brokers' errors, for on_client_error(): they would gather
  for (auto* message : taken_) rd_kafka_message_destroy(message);
  taken_.clear();
  while (quiet_queue_ && rd_kafka_queue_length(quiet_queue_.get()) > 0) {
    auto* dropped = rd_kafka_consume_queue(quiet_queue_.get(), 0);
    if (!dropped) break;
    rd_kafka_message_destroy(dropped);
  }
}

KafkaSource::PartitionFetch* KafkaSource::find(StreamPartition which) {
  for (auto& followed : followed_)
    if (followed.where == which) return &followed;
  return nullptr;
}

const KafkaSource::PartitionFetch* KafkaSource::find(StreamPartition which) const {
  return const_cast<KafkaSource*>(this)->find(which);
}

Result<std::unique_ptr<KafkaSources>, std::string> KafkaSources::open(KafkaConfig config,
                                                                      std::chrono::milliseconds limit) {
  std::unique_ptr<KafkaSources> sources(new KafkaSources(std::move(config), limit));
  auto conf = client_conf(sources->config_);
  if (!conf) return conf.error();
  auto client = make_client(RD_KAFKA_CONSUMER, std::move(*conf));
  if (!client) return client.error();
  auto counts = partition_counts(client->get(), sources->config_, limit);
  if (!counts) return counts.error();
  sources->counts_ = *counts;
  sources->client_ = std::move(*client);
  return sources;
}

Result<Offset> KafkaSources::first_since(StreamPartition where, Instant at) {
  KafkaPartitions asked(rd_kafka_topic_partition_list_new(1));
  auto* entry =
      rd_kafka_topic_partition_list_add(asked.get(), topic_of(config_, where.stream).c_str(), where.partition);
  entry->offset = std::max<std::int64_t>(0, at.time_since_epoch().count());
  auto code = rd_kafka_offsets_for_times(client_.get(), asked.get(), static_cast<int>(reposition_limit.count()));
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) code = entry->err;
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return read_error(code);
  if (entry->offset >= 0) return entry->offset;
  Offset first = 0, end = 0;  // nothing since then
  code = rd_kafka_query_watermark_offsets(client_.get(), topic_of(config_, where.stream).c_str(), where.partition,
                                          &first, &end, static_cast<int>(reposition_limit.count()));
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return read_error(code);
  return end;
}

std::optional<std::string> KafkaSources::changed() {
  const auto now = partition_counts(client_.get(), config_, std::chrono::seconds(5));
  if (now)
    changed_ = partitions_changed(config_, counts_, *now);
  else if (!now.error().starts_with("no Kafka broker"))
    changed_ = now.error();
  return changed_;
}

Result<std::map<Stream, std::chrono::milliseconds>, std::string> KafkaSources::retentions(
    std::chrono::milliseconds limit) const {
  return topic_retentions(client_.get(), config_, limit);
}

Result<std::unique_ptr<EventSource>> KafkaSources::open(std::vector<StartAt> starts) {
  auto source = KafkaSource::open(config_, std::move(starts), std::min(limit_, reposition_limit));
  if (!source) return source.error();
  return std::unique_ptr<EventSource>(std::move(*source));
}

}  // namespace assay
