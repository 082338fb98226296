#include "storage/log/kafka_group.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "ops/runtime/log.hpp"
#include "storage/log/kafka_error.hpp"

namespace assay {
namespace {

constexpr int poll_ms = 100;  // how soon a rebalance, or the end, is noticed
constexpr std::chrono::milliseconds unstable_retry{20};
constexpr int fenced_max = 5;  // times in a row without an assignment

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

bool is_fatal(rd_kafka_t* client) { return rd_kafka_fatal_error(client, nullptr, 0) != RD_KAFKA_RESP_ERR_NO_ERROR; }

struct FreeMemberId {
  void operator()(char* id) const { rd_kafka_mem_free(nullptr, id); }
};

}  // namespace

Result<std::unique_ptr<KafkaWorkerGroup>, std::string> KafkaWorkerGroup::open(KafkaConfig config, Callbacks callbacks,
                                                                              KafkaGroupRole role) {
  std::unique_ptr<KafkaWorkerGroup> group(
      new KafkaWorkerGroup(std::move(config), std::move(callbacks), std::move(role)));
  auto member = group->make_member();
  if (!member) return member.error();
  group->client_ = std::move(*member);
  group->thread_ = std::thread([self = group.get()] { self->run(); });
  return group;
}

Result<std::shared_ptr<rd_kafka_t>, std::string> KafkaWorkerGroup::make_member() {
  auto conf = group_conf(config_);
  if (!conf) return conf.error();
  if (const auto problem = set_property(conf->get(), "group.id", config_.topic_prefix + role_.name)) return *problem;
  rd_kafka_conf_set_rebalance_cb(conf->get(), on_rebalance);
  rd_kafka_conf_set_opaque(conf->get(), this);
  auto made = make_client(RD_KAFKA_CONSUMER, std::move(*conf));
  if (!made) return made.error();
  std::shared_ptr<rd_kafka_t> client(std::move(*made));
  rd_kafka_poll_set_consumer(client.get());
  KafkaPartitions topics(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(topics.get(), topic_of(config_, role_.stream).c_str(), RD_KAFKA_PARTITION_UA);
  if (const auto code = rd_kafka_subscribe(client.get(), topics.get()); code != RD_KAFKA_RESP_ERR_NO_ERROR)
    return std::string(rd_kafka_err2str(code));
  return client;
}

KafkaWorkerGroup::~KafkaWorkerGroup() { leave(); }

void KafkaWorkerGroup::leave() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void KafkaWorkerGroup::run() {
  int fenced_in_a_row = 0;
  for (;;) {
    const auto client = this->client();
    const auto assignments = assignments_;
    keep_place(client.get());
    rd_kafka_consumer_close(client.get());  // calls on_rebalance for what is owned
    if (!owned_.empty()) revoke(client.get(), true);
    if (stop_) return;
    if (failed_) return callbacks_.on_failed(why_failed());
    fenced_in_a_row = assignments_ == assignments ? fenced_in_a_row + 1 : 1;
    auto again = fenced_in_a_row <= fenced_max ? make_member() : std::string("fenced again and again");
    if (!again) {
      failed_ = true;
      spdlog::error("event=kafka_group_not_joined error=\"{}\"", again.error());
      return callbacks_.on_failed(why_failed());
    }
    spdlog::warn("event=kafka_group_joined_again group={}{}", config_.topic_prefix, role_.name);
    std::scoped_lock lock(client_mutex_);
    client_ = std::move(*again);
  }
}

std::string KafkaWorkerGroup::why_failed() const {
  if (!thrown_.empty()) return "what the group has given could not be begun, or ended: " + thrown_;
  if (session_refused_)
    return fmt::format(
        "the brokers refuse a --session-timeout of {} ms: it must lie between their group.min.session.timeout.ms and "
        "group.max.session.timeout.ms (by default 6s and 30m)",
        config_.session_timeout.count());
  return fmt::format(
      "another process has joined the group as \"{}\": give each worker an --instance-id and a --data directory of its "
      "own",
      config_.instance_id);
}

// Until it is to leave, or the client can do no more.
void KafkaWorkerGroup::keep_place(rd_kafka_t* client) {
  while (!stop_ && !failed_) {
    KafkaMessage message(rd_kafka_consumer_poll(client, poll_ms));
    if (!message) continue;
    // Nothing is fetched, so it is an error: a lost place shows as a rebalance of its own.
    spdlog::warn("event=kafka_group_failed error=\"{}\"", rd_kafka_message_errstr(message.get()));
    if (message->err == RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT) session_refused_ = failed_ = true;
    if (is_fatal(client)) return;
  }
}

void KafkaWorkerGroup::on_rebalance(rd_kafka_t* client, rd_kafka_resp_err_t what,
                                    rd_kafka_topic_partition_list_t* partitions, void* self) {
  static_cast<KafkaWorkerGroup*>(self)->rebalance(client, what, *partitions);
}

void KafkaWorkerGroup::rebalance(rd_kafka_t* client, rd_kafka_resp_err_t what,
                                 const rd_kafka_topic_partition_list_t& partitions) {
  if (what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
    KafkaPartitions nothing(rd_kafka_topic_partition_list_new(0));
    rd_kafka_assign(client, nothing.get());
    owned_ = numbers(partitions);
    joined_ = true;
    ++assignments_;
    call([this] { callbacks_.on_assigned(owned_); });
    return;
  }
  const bool lost = rd_kafka_assignment_lost(client) || what != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS;
  revoke(client, lost);
  rd_kafka_assign(client, nullptr);
}

void KafkaWorkerGroup::revoke(rd_kafka_t* client, bool lost) {
  if (joined_.exchange(false) && is_fatal(client)) failed_ = true;
  call([&] { callbacks_.on_revoked(std::exchange(owned_, {}), lost); });
}

// librdkafka, which calls us, is C: no exception may pass through it.
void KafkaWorkerGroup::call(const std::function<void()>& callback) {
  try {
    callback();
  } catch (const std::exception& e) {
    thrown_ = e.what();
    failed_ = true;
  }
}

Result<Offset> KafkaWorkerGroup::committed(StreamPartition where, std::chrono::milliseconds limit) const {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  const auto client = this->client();
  KafkaPartitions asked(rd_kafka_topic_partition_list_new(1));
  auto* entry =
      rd_kafka_topic_partition_list_add(asked.get(), topic_of(config_, where.stream).c_str(), where.partition);
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    auto code = rd_kafka_committed(client.get(), asked.get(), std::max(1, static_cast<int>(left.count())));
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) code = entry->err;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return entry->offset == RD_KAFKA_OFFSET_INVALID ? 0 : entry->offset;
    const auto error = read_error(code);
    if (error != Error::log_unavailable || std::chrono::steady_clock::now() + unstable_retry >= deadline) return error;
    std::this_thread::sleep_for(unstable_retry);
  }
}

Result<std::vector<KafkaWorkerGroup::Member>> KafkaWorkerGroup::members(std::chrono::milliseconds limit) const {
  const auto group = config_.topic_prefix + role_.name;
  const auto client = this->client();
  const rd_kafka_group_list* listed = nullptr;
  const auto code = rd_kafka_list_groups(client.get(), group.c_str(), &listed, static_cast<int>(limit.count()));
  const std::unique_ptr<const rd_kafka_group_list, Destroyer<&rd_kafka_group_list_destroy>> list(listed);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return read_error(code);
  std::unique_ptr<char, FreeMemberId> self(rd_kafka_memberid(client.get()));
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

Result<void> KafkaWorkerGroup::commit(std::span<const std::pair<StreamPartition, Offset>> positions,
                                      std::string_view note) const {
  KafkaPartitions list(rd_kafka_topic_partition_list_new(static_cast<int>(positions.size())));
  for (const auto& [where, next] : positions) {
    auto* entry =
        rd_kafka_topic_partition_list_add(list.get(), topic_of(config_, where.stream).c_str(), where.partition);
    entry->offset = next;
    if (note.empty()) continue;
    entry->metadata = ::strndup(note.data(), note.size());  // the list frees it
    entry->metadata_size = note.size();
  }
  const auto code = rd_kafka_commit(client().get(), list.get(), 0);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return read_error(code);
  return {};
}

KafkaGroupMetadata KafkaWorkerGroup::metadata() const {
  return KafkaGroupMetadata(rd_kafka_consumer_group_metadata(client().get()));
}

}  // namespace assay
