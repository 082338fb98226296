#include "storage/log/kafka_offsets.hpp"

#include <spdlog/fmt/fmt.h>

#include <thread>

#include "storage/log/kafka_error.hpp"

namespace assay {
namespace {

constexpr std::chrono::milliseconds unstable_retry{10}, leader_retry{50};
// What ListOffsets takes for a time: see OffsetSpec in Kafka's protocol.
constexpr Offset latest = -1, earliest = -2;

}  // namespace

Result<std::unique_ptr<KafkaOffsets>, std::string> KafkaOffsets::open(const KafkaConfig& config,
                                                                      const std::string& group, Open transactions) {
  std::unique_ptr<KafkaOffsets> offsets(new KafkaOffsets(config));
  auto conf = source_conf(config);
  if (!conf) return conf.error();
  if (const auto problem = set_property(conf->get(), "group.id", config.topic_prefix + group)) return *problem;
  if (transactions == Open::passed_over)
    if (const auto problem = set_property(conf->get(), "isolation.level", "read_uncommitted")) return *problem;
  auto client = make_client(RD_KAFKA_CONSUMER, std::move(*conf));
  if (!client) return client.error();
  offsets->client_ = std::move(*client);
  return offsets;
}

KafkaPartitions KafkaOffsets::list_of(std::span<const StreamPartition> of, Offset offset) const {
  KafkaPartitions list(rd_kafka_topic_partition_list_new(static_cast<int>(of.size())));
  for (const auto& where : of)
    rd_kafka_topic_partition_list_add(list.get(), topic_of(config_, where.stream).c_str(), where.partition)->offset =
        offset;
  return list;
}

Result<KafkaOffsets::Offsets> KafkaOffsets::committed(std::span<const StreamPartition> of,
                                                      std::chrono::milliseconds limit) const {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    auto list = list_of(of, RD_KAFKA_OFFSET_INVALID);
    auto code = rd_kafka_committed(client_.get(), list.get(), std::max(1, static_cast<int>(left.count())));
    Offsets out;
    for (const auto& where : of) {
      if (code != RD_KAFKA_RESP_ERR_NO_ERROR) break;
      const auto* found =
          rd_kafka_topic_partition_list_find(list.get(), topic_of(config_, where.stream).c_str(), where.partition);
      code = found ? found->err : RD_KAFKA_RESP_ERR__TIMED_OUT;
      if (found && found->offset >= 0) out[where] = found->offset;
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return out;
    const auto error = read_error(code);
    if (error != Error::log_unavailable || std::chrono::steady_clock::now() + unstable_retry >= deadline) return error;
    std::this_thread::sleep_for(unstable_retry);
  }
}

Result<std::vector<std::string>> KafkaOffsets::notes(std::span<const StreamPartition> of,
                                                     std::chrono::milliseconds limit) const {
  auto list = list_of(of, RD_KAFKA_OFFSET_INVALID);
  const auto code = rd_kafka_committed(client_.get(), list.get(), static_cast<int>(limit.count()));
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return read_error(code);
  std::vector<std::string> out;
  for (const auto& entry : std::span(list->elems, static_cast<std::size_t>(list->cnt)))
    if (entry.offset >= 0) out.emplace_back(static_cast<const char*>(entry.metadata), entry.metadata_size);
  return out;
}

// A topic that has just been made has no leader for a moment, or one that does not know it yet.
Result<KafkaOffsets::Offsets> KafkaOffsets::listed(std::span<const StreamPartition> of, Offset at,
                                                   std::chrono::milliseconds limit) const {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    auto found = listed_once(of, at, std::max(left, std::chrono::milliseconds(1)));
    const bool passes = !found && (found.error() == Error::log_unavailable ||
                                   found.error() == kafka_code(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) ||
                                   found.error() == kafka_code(RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION));
    if (!passes || std::chrono::steady_clock::now() + leader_retry >= deadline) return found;
    std::this_thread::sleep_for(leader_retry);
  }
}

// The answer comes leader by leader: its order is not that of what was asked.
Result<KafkaOffsets::Offsets> KafkaOffsets::listed_once(std::span<const StreamPartition> of, Offset at,
                                                        std::chrono::milliseconds limit) const {
  auto list = list_of(of, at);
  const auto code = rd_kafka_offsets_for_times(client_.get(), list.get(), static_cast<int>(limit.count()));
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return read_error(code);
  Offsets out;
  for (const auto& where : of) {
    const auto* found =
        rd_kafka_topic_partition_list_find(list.get(), topic_of(config_, where.stream).c_str(), where.partition);
    if (!found) return Error::log_unavailable;
    if (found->err != RD_KAFKA_RESP_ERR_NO_ERROR) return read_error(found->err);
    out[where] = found->offset;
  }
  return out;
}

Result<KafkaOffsets::Offsets> KafkaOffsets::ends(std::span<const StreamPartition> of,
                                                 std::chrono::milliseconds limit) const {
  return listed(of, latest, limit);
}

Result<KafkaOffsets::Offsets> KafkaOffsets::begins(std::span<const StreamPartition> of,
                                                   std::chrono::milliseconds limit) const {
  return listed(of, earliest, limit);
}

Result<KafkaOffsets::Offsets> KafkaOffsets::since(std::span<const StreamPartition> of, Instant at,
                                                  std::chrono::milliseconds limit) const {
  auto found = listed(of, std::max<std::int64_t>(0, at.time_since_epoch().count()), limit);
  if (!found) return found;
  const auto last = ends(of, limit);
  if (!last) return last;
  for (auto& [where, offset] : *found)
    if (offset < 0) offset = last->at(where);
  return found;
}

Result<void> KafkaOffsets::commit(const Offsets& positions) const {
  KafkaPartitions list(rd_kafka_topic_partition_list_new(static_cast<int>(positions.size())));
  for (const auto& [where, next] : positions)
    rd_kafka_topic_partition_list_add(list.get(), topic_of(config_, where.stream).c_str(), where.partition)->offset =
        next;
  const auto code = rd_kafka_commit(client_.get(), list.get(), 0);
  if (code == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID || code == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION ||
      code == RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS)
    return Error::unsupported;
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return read_error(code);
  return {};
}

Result<std::vector<KafkaOffsets::Group>> KafkaOffsets::groups(const std::string& name,
                                                              std::chrono::milliseconds limit) const {
  const rd_kafka_group_list* got = nullptr;
  const auto code = rd_kafka_list_groups(client_.get(), nullptr, &got, static_cast<int>(limit.count()));
  const std::unique_ptr<const rd_kafka_group_list, Destroyer<&rd_kafka_group_list_destroy>> list(got);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return read_error(code);
  std::vector<Group> out;
  for (int i = 0; i < list->group_cnt; ++i) {
    const auto& group = list->groups[i];
    const std::string_view full(group.group);
    if (!full.starts_with(config_.topic_prefix + name)) continue;
    out.push_back({std::string(full.substr(config_.topic_prefix.size())), group.state,
                   static_cast<std::size_t>(group.member_cnt)});
  }
  return out;
}

std::string partitions_note(Partition count) { return "partitions=" + std::to_string(count); }  // DO NOT CHANGE

std::optional<std::string> problem_with_partitions(const KafkaConfig& config, Partition count,
                                                   std::chrono::milliseconds limit) {
  // A worker that was killed has left a transaction open, which stays so until somebody works in its place.
  const auto offsets = KafkaOffsets::open(config, "resolve", KafkaOffsets::Open::passed_over);
  if (!offsets) return std::nullopt;
  std::vector<StreamPartition> feedback;
  for (Partition p = 0; p < count; ++p) feedback.push_back({Stream::feedback, p});
  const auto notes = (*offsets)->notes(feedback, limit);
  if (!notes) return std::nullopt;
  for (const auto& note : *notes)
    if (note.starts_with("partitions=") && note != partitions_note(count))
      return fmt::format(
          "{} has {} partitions, and the workers have worked with {}: a key's place depends on their number, which "
          "can't be changed back. Go on with new topics: `assay topics create` with another --topic-prefix",
          topic_of(config, Stream::feedback), count, note.substr(std::string_view("partitions=").size()));
  return std::nullopt;
}

}  // namespace assay
