#include "storage/log/kafka_group.hpp"

#include <algorithm>
#include <limits>

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

// The protocol's ConsumerProtocolAssignment: version (2 bytes), number of topics (4), of each its name (2 bytes of
// length) and its partitions (4 bytes of number, 4 each).
std::vector<Partition> assigned_partitions(std::string_view bytes, std::string_view topic) {
  std::vector<Partition> out;
  const auto take = [&](std::size_t n) {
    const auto taken = bytes.substr(0, n);
    bytes.remove_prefix(taken.size());
    return taken;
  };
  const auto number = [&](std::size_t n) {
    std::uint32_t value = 0;
    for (const char c : take(n)) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  };
  number(2);
  for (auto topics = number(4); topics > 0 && !bytes.empty(); --topics) {
    const auto name = take(number(2));
    for (auto partitions = number(4); partitions > 0 && !bytes.empty(); --partitions) {
      const auto partition = static_cast<Partition>(number(4));
      if (name == topic) out.push_back(partition);
    }
  }
  std::ranges::sort(out);
  return out;
}

struct FreeMemberId {
  void operator()(char* id) const { rd_kafka_mem_free(nullptr, id); }
};

}  // namespace

Result<std::unique_ptr<KafkaWorkerGroup>, std::string> KafkaWorkerGroup::open(KafkaConfig config, Callbacks callbacks,
                                                                              KafkaGroupRole role) {
  std::unique_ptr<KafkaWorkerGroup> group(
      new KafkaWorkerGroup(std::move(config), std::move(callbacks), std::move(role)));
  auto conf = group_conf(group->config_);
  if (!conf) return conf.error();
  if (const auto problem = set_property(conf->get(), "group.id", group->config_.topic_prefix + group->role_.name))
    return *problem;
  rd_kafka_conf_set_rebalance_cb(conf->get(), on_rebalance);
  rd_kafka_conf_set_opaque(conf->get(), group.get());
  auto client = make_client(RD_KAFKA_CONSUMER, std::move(*conf));
  if (!client) return client.error();
  group->client_ = std::move(*client);
  rd_kafka_poll_set_consumer(group->client_.get());
  KafkaPartitions topics(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(topics.get(), topic_of(group->config_, group->role_.stream).c_str(),
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

Result<Offset> KafkaWorkerGroup::committed(StreamPartition where, std::chrono::milliseconds limit) const {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  KafkaPartitions asked(rd_kafka_topic_partition_list_new(1));
  auto* entry =
      rd_kafka_topic_partition_list_add(asked.get(), topic_of(config_, where.stream).c_str(), where.partition);
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

Result<std::vector<KafkaWorkerGroup::Member>> KafkaWorkerGroup::members(std::chrono::milliseconds limit) const {
  const auto group = config_.topic_prefix + role_.name;
  const rd_kafka_group_list* listed = nullptr;
  const auto code = rd_kafka_list_groups(client_.get(), group.c_str(), &listed, static_cast<int>(limit.count()));
  const std::unique_ptr<const rd_kafka_group_list, Destroyer<&rd_kafka_group_list_destroy>> list(listed);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return read_error(code);
  std::unique_ptr<char, FreeMemberId> self(rd_kafka_memberid(client_.get()));
  std::vector<Member> out;
  const auto topic = topic_of(config_, role_.stream);
  for (int g = 0; g < list->group_cnt; ++g) {
    const auto& found = list->groups[g];
    if (found.group != group || found.state != std::string_view("Stable")) continue;
    for (int m = 0; m < found.member_cnt; ++m) {
      const auto& member = found.members[m];
      const std::string_view assignment(static_cast<const char*>(member.member_assignment),
                                        static_cast<std::size_t>(std::max(0, member.member_assignment_size)));
      out.push_back({member.member_id, assigned_partitions(assignment, topic),
                     self && std::string_view(self.get()) == member.member_id});
    }
  }
  // `range` deals them out in this order; those that got none stand behind.
  std::ranges::sort(out, {}, [](const Member& member) {
    return std::pair(member.partitions.empty() ? std::numeric_limits<Partition>::max() : member.partitions.front(),
                     member.id);
  });
  return out;
}

Result<void> KafkaWorkerGroup::commit(std::span<const std::pair<StreamPartition, Offset>> positions) const {
  KafkaPartitions list(rd_kafka_topic_partition_list_new(static_cast<int>(positions.size())));
  for (const auto& [where, next] : positions)
    rd_kafka_topic_partition_list_add(list.get(), topic_of(config_, where.stream).c_str(), where.partition)->offset =
        next;
  const auto code = rd_kafka_commit(client_.get(), list.get(), 0);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return read_error(code);
  return {};
}

KafkaGroupMetadata KafkaWorkerGroup::metadata() const {
  return KafkaGroupMetadata(rd_kafka_consumer_group_metadata(client_.get()));
}

}  // namespace assay
