#include "storage/log/kafka_topics.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <limits>

#include "storage/log/kafka_metadata.hpp"

namespace assay {
namespace {

using NewTopic = std::unique_ptr<rd_kafka_NewTopic_t, Destroyer<&rd_kafka_NewTopic_destroy>>;
using ConfigResource = std::unique_ptr<rd_kafka_ConfigResource_t, Destroyer<&rd_kafka_ConfigResource_destroy>>;
using AdminOptions = std::unique_ptr<rd_kafka_AdminOptions_t, Destroyer<&rd_kafka_AdminOptions_destroy>>;

Result<KafkaHandle, std::string> admin(const KafkaConfig& config) {
  auto conf = client_conf(config);
  if (!conf) return conf.error();
  return make_client(RD_KAFKA_PRODUCER, std::move(*conf));
}

AdminOptions options(rd_kafka_t* client, rd_kafka_admin_op_t act, std::chrono::milliseconds limit) {
  AdminOptions out(rd_kafka_AdminOptions_new(client, act));
  char problem[256];
  rd_kafka_AdminOptions_set_request_timeout(out.get(), static_cast<int>(limit.count()), problem, sizeof problem);
  return out;
}

Result<KafkaEvent, std::string> answer_of(rd_kafka_queue_t* queue, std::chrono::milliseconds limit) {
  KafkaEvent event(rd_kafka_queue_poll(queue, static_cast<int>(limit.count()) + 1000));
  if (!event) return fmt::format("Kafka did not answer within {} ms", limit.count());
  if (rd_kafka_event_error(event.get()) != RD_KAFKA_RESP_ERR_NO_ERROR)
    return std::string(rd_kafka_event_error_string(event.get()));
  return event;
}

void count_replicas(const rd_kafka_metadata_topic& topic, TopicState& state) {
  state.replicas = state.in_sync = std::numeric_limits<int>::max();
  for (int p = 0; p < topic.partition_cnt; ++p) {
    const auto& partition = topic.partitions[p];
    state.replicas = std::min(state.replicas, partition.replica_cnt);
    state.in_sync = std::min(state.in_sync, partition.isr_cnt);
    if (partition.leader < 0) ++state.leaderless;
  }
}

Result<ClusterState, std::string> look(rd_kafka_t* client, const KafkaConfig& config, std::chrono::milliseconds limit) {
  // Of all topics: asked by name, a broker may make those that are missing.
  const rd_kafka_metadata_t* got = nullptr;
  const auto code = rd_kafka_metadata(client, 1, nullptr, &got, static_cast<int>(limit.count()));
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return no_broker_answered(config, limit, code);
  KafkaMetadata metadata(got);
  ClusterState cluster{.brokers = metadata->broker_cnt};
  for (const std::string_view name : {"__consumer_offsets", "__transaction_state"})
    for (int i = 0; i < metadata->topic_cnt; ++i)
      if (name == metadata->topics[i].topic && metadata->topics[i].partition_cnt > 0)
        cluster.internal.push_back({std::string(name), metadata->topics[i].partitions[0].replica_cnt});
  for (const auto stream : all_streams) {
    TopicState state{.stream = stream, .name = topic_of(config, stream)};
    for (int i = 0; i < metadata->topic_cnt; ++i) {
      const auto& topic = metadata->topics[i];
      if (state.name != topic.topic || topic.partition_cnt == 0) continue;
      state.exists = true;
      state.partitions = topic.partition_cnt;
      count_replicas(topic, state);
    }
    cluster.topics.push_back(std::move(state));
  }
  return cluster;
}

// Fills in the settings of the topics that exist.
std::optional<std::string> read_settings(rd_kafka_t* client, std::vector<TopicState>& topics,
                                         std::chrono::milliseconds limit) {
  static const std::vector<std::string_view> wanted{
      "cleanup.policy",    "retention.ms",           "retention.bytes",     "delete.retention.ms",
      "max.message.bytes", "message.timestamp.type", "min.insync.replicas", "unclean.leader.election.enable"};
  std::vector<ConfigResource> owned;
  std::vector<rd_kafka_ConfigResource_t*> asked;
  for (const auto& topic : topics) {
    if (!topic.exists) continue;
    owned.emplace_back(rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.name.c_str()));
    asked.push_back(owned.back().get());
  }
  if (asked.empty()) return std::nullopt;
  KafkaQueue queue(rd_kafka_queue_new(client));
  const auto how = options(client, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, limit);
  rd_kafka_DescribeConfigs(client, asked.data(), asked.size(), how.get(), queue.get());
  auto event = answer_of(queue.get(), limit);
  if (!event) return event.error();
  std::size_t count = 0;
  const auto** resources =
      rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event->get()), &count);
  for (std::size_t i = 0; i < count; ++i) {
    std::size_t entry_count = 0;
    const auto** entries = rd_kafka_ConfigResource_configs(resources[i], &entry_count);
    for (auto& topic : topics) {
      if (topic.name != rd_kafka_ConfigResource_name(resources[i])) continue;
      for (std::size_t e = 0; e < entry_count; ++e) {
        const auto* value = rd_kafka_ConfigEntry_value(entries[e]);
        const std::string_view name = rd_kafka_ConfigEntry_name(entries[e]);
        if (value && std::ranges::find(wanted, name) != wanted.end()) topic.settings[std::string(name)] = value;
      }
    }
  }
  return std::nullopt;
}

}  // namespace

Result<ClusterState, std::string> describe_cluster(const KafkaConfig& config, std::chrono::milliseconds limit) {
  auto client = admin(config);
  if (!client) return client.error();
  auto cluster = look(client->get(), config, limit);
  if (!cluster) return cluster.error();
  if (auto problem = read_settings(client->get(), cluster->topics, limit)) return *problem;
  return cluster;
}

Result<std::map<Stream, std::chrono::milliseconds>, std::string> topic_retentions(rd_kafka_t* client,
                                                                                  const KafkaConfig& config,
                                                                                  std::chrono::milliseconds limit) {
  std::vector<TopicState> topics;
  for (const auto stream : all_streams)
    if (kept(stream) == Kept::by_time)
      topics.push_back({.stream = stream, .name = topic_of(config, stream), .exists = true});
  if (auto problem = read_settings(client, topics, limit)) return *problem;
  std::map<Stream, std::chrono::milliseconds> out;
  for (const auto& topic : topics)
    if (const auto retention = retention_of(topic)) out[topic.stream] = *retention;
  return out;
}

Result<std::vector<TopicState>, std::string> describe_topics(const KafkaConfig& config,
                                                             std::chrono::milliseconds limit) {
  auto cluster = describe_cluster(config, limit);
  if (!cluster) return cluster.error();
  return std::move(cluster->topics);
}

Result<std::vector<std::string>, std::string> create_topics(const KafkaConfig& config, const TopicPlan& plan,
                                                            std::chrono::milliseconds limit) {
  auto client = admin(config);
  if (!client) return client.error();
  auto cluster = look(client->get(), config, limit);
  if (!cluster) return cluster.error();
  if (const auto wrong = wrong_partitions(cluster->topics, plan); !wrong.empty()) return wrong.front();
  const auto* keyed = first_keyed(cluster->topics);
  const auto planned = keyed ? keyed->partitions : plan.partitions.value_or(12);
  const int replicas = plan.replicas.value_or(std::clamp(cluster->brokers, 1, 3));
  std::vector<NewTopic> owned;
  std::vector<rd_kafka_NewTopic_t*> wanted;
  for (const auto& topic : cluster->topics) {
    if (topic.exists) continue;
    char problem[256];
    const Partition partitions = topic.stream == Stream::catalog ? 1 : planned;
    owned.emplace_back(rd_kafka_NewTopic_new(topic.name.c_str(), partitions, replicas, problem, sizeof problem));
    if (!owned.back()) return fmt::format("{}: {}", topic.name, problem);
    for (const auto& [name, value] : settings_of(topic.stream, plan, replicas))
      rd_kafka_NewTopic_set_config(owned.back().get(), name.c_str(), value.c_str());
    wanted.push_back(owned.back().get());
  }
  std::vector<std::string> made;
  if (wanted.empty()) return made;
  if (replicas > cluster->brokers)
    return fmt::format("{} replicas need as many brokers, and there are {}", replicas, cluster->brokers);
  KafkaQueue queue(rd_kafka_queue_new(client->get()));
  const auto how = options(client->get(), RD_KAFKA_ADMIN_OP_CREATETOPICS, limit);
  char problem[256];
  rd_kafka_AdminOptions_set_operation_timeout(how.get(), static_cast<int>(limit.count()), problem, sizeof problem);
  rd_kafka_CreateTopics(client->get(), wanted.data(), wanted.size(), how.get(), queue.get());
  auto event = answer_of(queue.get(), limit);
  if (!event) return event.error();
  std::size_t count = 0;
  const auto** results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event->get()), &count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::string name = rd_kafka_topic_result_name(results[i]);
    const auto code = rd_kafka_topic_result_error(results[i]);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
      made.push_back(name);
    else if (code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)  // someone else was quicker
      return fmt::format("{}: {}", name, rd_kafka_topic_result_error_string(results[i]));
  }
  KafkaConfig patient = config;
  patient.topics_wait = limit;
  if (const auto counts = partition_counts(client->get(), patient, limit); !counts)
    return fmt::format("made, but not there yet: {}", counts.error());
  return made;
}

}  // namespace assay
