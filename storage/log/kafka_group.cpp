#include "storage/log/kafka_group.hpp"

#include "ops/runtime/log.hpp"
#include "storage/log/kafka_error.hpp"

namespace assay {
namespace {

constexpr int poll_ms = 100;  // how soon a rebalance, or the end, is noticed
constexpr std::chrono::milliseconds unstable_retry{20};

std::vector<Partition> numbers(const rd_kafka_topic_partition_list_t& partitions) {
  std::vector<Partition> out;
  for (int i = 0; i < partitions.cnt; ++i) out.push_back(partitions.elems[i].partition);
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

Result<std::unique_ptr<KafkaWorkerGroup>, std::string> KafkaWorkerGroup::open(KafkaConfig config, Callbacks callbacks) {
  std::unique_ptr<KafkaWorkerGroup> group(new KafkaWorkerGroup(std::move(config), std::move(callbacks)));
  auto conf = group_conf(group->config_);
  if (!conf) return conf.error();
  rd_kafka_conf_set_rebalance_cb(conf->get(), on_rebalance);
  rd_kafka_conf_set_opaque(conf->get(), group.get());
  auto client = make_client(RD_KAFKA_CONSUMER, std::move(*conf));
  if (!client) return client.error();
  group->client_ = std::move(*client);
  rd_kafka_poll_set_consumer(group->client_.get());
  KafkaPartitions topics(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(topics.get(), topic_of(group->config_, Stream::feedback).c_str(),
                                    RD_KAFKA_PARTITION_UA);
  if (const auto code = rd_kafka_subscribe(group->client_.get(), topics.get()); code != RD_KAFKA_RESP_ERR_NO_ERROR)
    return std::string(rd_kafka_err2str(code));
  group->thread_ = std::thread([self = group.get()] { self->run(); });
  return group;
}

KafkaWorkerGroup::~KafkaWorkerGroup() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void KafkaWorkerGroup::run() {
  while (!stop_) {
    KafkaMessage message(rd_kafka_consumer_poll(client_.get(), poll_ms));
    if (!message) continue;
    // Nothing is fetched, so it is an error: a lost place shows as a rebalance of its own.
    if (rd_kafka_fatal_error(client_.get(), nullptr, 0) != RD_KAFKA_RESP_ERR_NO_ERROR) {
      failed_ = true;
      spdlog::error("kafka group member failed fatally error=\"{}\"", rd_kafka_message_errstr(message.get()));
      break;
    }
    spdlog::warn("kafka group error=\"{}\"", rd_kafka_message_errstr(message.get()));
  }
  rd_kafka_consumer_close(client_.get());  // calls on_rebalance for what is owned
  if (!owned_.empty()) revoke(true);
}

void KafkaWorkerGroup::on_rebalance(rd_kafka_t*, rd_kafka_resp_err_t what, rd_kafka_topic_partition_list_t* partitions,
                                    void* self) {
  static_cast<KafkaWorkerGroup*>(self)->rebalance(what, *partitions);
}

void KafkaWorkerGroup::rebalance(rd_kafka_resp_err_t what, const rd_kafka_topic_partition_list_t& partitions) {
  if (what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
    KafkaPartitions nothing(rd_kafka_topic_partition_list_new(0));
    rd_kafka_assign(client_.get(), nothing.get());
    owned_ = numbers(partitions);
    joined_ = true;
    callbacks_.on_assigned(owned_);
    return;
  }
  const bool lost = rd_kafka_assignment_lost(client_.get()) || what != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS;
  revoke(lost);
  rd_kafka_assign(client_.get(), nullptr);
}

void KafkaWorkerGroup::revoke(bool lost) {
  joined_ = false;
  failed_ = failed_ || rd_kafka_fatal_error(client_.get(), nullptr, 0) != RD_KAFKA_RESP_ERR_NO_ERROR;
  callbacks_.on_revoked(std::exchange(owned_, {}), lost);
}

Result<Offset> KafkaWorkerGroup::committed(Partition partition, std::chrono::milliseconds limit) const {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  KafkaPartitions asked(rd_kafka_topic_partition_list_new(1));
  auto* entry = rd_kafka_topic_partition_list_add(asked.get(), topic_of(config_, Stream::feedback).c_str(), partition);
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    auto code = rd_kafka_committed(client_.get(), asked.get(), std::max(1, static_cast<int>(left.count())));
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) code = entry->err;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return entry->offset == RD_KAFKA_OFFSET_INVALID ? 0 : entry->offset;
    const auto error = read_error(code);
    if (error != Error::log_unavailable || std::chrono::steady_clock::now() + unstable_retry >= deadline) return error;
    std::this_thread::sleep_for(unstable_retry);
  }
}

KafkaGroupMetadata KafkaWorkerGroup::metadata() const {
  return KafkaGroupMetadata(rd_kafka_consumer_group_metadata(client_.get()));
}

}  // namespace assay
