#include "storage/log/kafka_topics.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "storage/log/kafka_metadata.hpp"

namespace assay {
namespace {

using NewTopic = std::unique_ptr<rd_kafka_NewTopic_t, Destroyer<&rd_kafka_NewTopic_destroy>>;
using ConfigResource = std::unique_ptr<rd_kafka_ConfigResource_t, Destroyer<&rd_kafka_ConfigResource_destroy>>;
using AdminOptions = std::unique_ptr<rd_kafka_AdminOptions_t, Destroyer<&rd_kafka_AdminOptions_destroy>>;
using Settings = std::map<std::string, std::string>;

// How long a tombstone of a compacted topic must be there at least: workers throw away state that was not up to date
// for nearly so long (ReplicaConfig::stale_after).
constexpr std::chrono::milliseconds tombstones_min = std::chrono::hours(24);

enum class Kept { by_time, compacted, compacted_and_by_time, compacted_and_maybe_by_time };

Kept kept(Stream stream) {
  switch (stream) {
    case Stream::requests:
      return Kept::compacted_and_maybe_by_time;
    case Stream::parked:
    case Stream::catalog:
      return Kept::compacted;
    case Stream::deadletters:
      return Kept::compacted_and_by_time;
    default:
      return Kept::by_time;
  }
}

Settings settings_of(Stream stream, const TopicPlan& plan, int replicas) {
  const auto ms = [](std::chrono::milliseconds time) { return std::to_string(time.count()); };
  Settings settings{{"min.insync.replicas", replicas >= 3 ? "2" : "1"}};
  switch (kept(stream)) {
    case Kept::by_time:
      settings["cleanup.policy"] = "delete";
      settings["retention.ms"] = ms(plan.retention);
      return settings;
    case Kept::compacted:
      settings["cleanup.policy"] = "compact";
      // A worker, or a view, that was away for less than this learns what has ended meanwhile.
      settings["delete.retention.ms"] = ms(std::max<std::chrono::milliseconds>(plan.retention, tombstones_min));
      break;
    case Kept::compacted_and_by_time:
      settings["cleanup.policy"] = "compact,delete";
      settings["retention.ms"] = ms(plan.dead_letters);
      // As long as feedback is there to be recounted, a tombstone tells that it was dead once.
      settings["delete.retention.ms"] = ms(plan.retention);
      break;
    case Kept::compacted_and_maybe_by_time:
      settings["cleanup.policy"] = plan.requests.count() > 0 ? "compact,delete" : "compact";
      if (plan.requests.count() > 0) settings["retention.ms"] = ms(plan.requests);
      break;
  }
  // Only whole segments are compacted: small ones keep a rebuild of worker state short.
  settings["segment.bytes"] = std::to_string(64 << 20);
  settings["min.cleanable.dirty.ratio"] = "0.2";
  return settings;
}

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
  static const std::vector<std::string_view> wanted{"cleanup.policy", "retention.ms", "delete.retention.ms",
                                                    "min.insync.replicas", "unclean.leader.election.enable"};
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

long long number_in(const std::string& text) {
  long long value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// Those whose key decides the partition: their numbers of partitions must agree.
bool is_keyed(const TopicState& topic) {
  return topic.stream == Stream::feedback || topic.stream == Stream::requests || topic.stream == Stream::parked;
}

const TopicState* first_keyed(const std::vector<TopicState>& topics) {
  for (const auto& topic : topics)
    if (topic.exists && is_keyed(topic)) return &topic;
  return nullptr;
}

std::vector<std::string> wrong_partitions(const std::vector<TopicState>& topics, const TopicPlan& plan) {
  std::vector<std::string> out;
  const auto* first = first_keyed(topics);
  for (const auto& topic : topics) {
    if (!topic.exists || !is_keyed(topic)) continue;
    if (topic.partitions != first->partitions)
      out.push_back(fmt::format("{} has {} partitions, {} has {}: they must be the same number", topic.name,
                                topic.partitions, first->name, first->partitions));
    else if (plan.partitions && topic.partitions != *plan.partitions)
      out.push_back(fmt::format("{} has {} partitions, not {}: it can't be changed", topic.name, topic.partitions,
                                *plan.partitions));
  }
  return out;
}

long long ms_of(std::chrono::hours hours) { return std::chrono::milliseconds(hours).count(); }

std::string setting(const TopicState& topic, const char* name) {
  const auto at = topic.settings.find(name);
  return at == topic.settings.end() ? std::string() : at->second;
}

void check_cleanup(const TopicState& topic, const TopicPlan& plan, TopicsReport& report) {
  const auto policy = setting(topic, "cleanup.policy");
  if (policy.empty()) return;
  const bool compacts = policy.find("compact") != std::string::npos;
  const bool deletes = policy.find("delete") != std::string::npos;
  switch (kept(topic.stream)) {
    case Kept::by_time:
      if (compacts)
        report.problem(fmt::format("{}: cleanup.policy is '{}', it must be 'delete': records of one key would be lost",
                                   topic.name, policy));
      return;
    case Kept::compacted:
      if (deletes || !compacts)
        report.problem(
            fmt::format("{}: cleanup.policy is '{}', it must be 'compact': records would be lost", topic.name, policy));
      return;
    case Kept::compacted_and_by_time:
      if (!compacts)
        report.warning(fmt::format("{}: cleanup.policy is '{}': purged dead letters are kept until retention",
                                   topic.name, policy));
      return;
    case Kept::compacted_and_maybe_by_time:
      if (!compacts)
        report.problem(
            fmt::format("{}: cleanup.policy is '{}', it must be 'compact' or 'compact,delete': ids would be lost",
                        topic.name, policy));
      if (deletes && (plan.requests.count() == 0 || number_in(setting(topic, "retention.ms")) < ms_of(plan.requests)))
        report.warning(fmt::format(
            "{}: retention.ms is {}: ids of traces are forgotten after it, whatever the workers' --request-retention",
            topic.name, setting(topic, "retention.ms")));
      return;
  }
}

void check_retention(const TopicState& topic, const TopicPlan& plan, TopicsReport& report) {
  const auto retention = setting(topic, "retention.ms");
  if (kept(topic.stream) != Kept::by_time || retention.empty() || number_in(retention) < 0) return;
  const auto needed = std::max(plan.park_max, plan.dedupe_window);
  if (number_in(retention) < needed.count())
    report.problem(fmt::format(
        "{}: retention.ms is {}, less than the {} that feedback may be parked or its repeats recognised for; "
        "kafka-configs.sh --alter sets it",
        topic.name, retention, needed.count()));
  else if (number_in(retention) < plan.retention.count())
    report.warning(
        fmt::format("{}: retention.ms is {}, less than the {} planned", topic.name, retention, plan.retention.count()));
}

void check_tombstones(const TopicState& topic, TopicsReport& report) {
  const auto tombstones = setting(topic, "delete.retention.ms");
  if (topic.stream != Stream::parked || tombstones.empty()) return;
  const auto kept_for = number_in(tombstones);
  if (kept_for >= 0 && kept_for < tombstones_min.count())
    report.warning(fmt::format(
        "{}: delete.retention.ms is {}, less than {}: a worker that was away for longer may release once more what has "
        "ended; kafka-configs.sh --alter sets it",
        topic.name, tombstones, tombstones_min.count()));
}

void check_replicas(const TopicState& topic, const TopicPlan& plan, TopicsReport& report) {
  const auto in_sync = number_in(setting(topic, "min.insync.replicas"));
  if (in_sync > topic.replicas)
    report.problem(fmt::format("{}: min.insync.replicas is {} with {} replicas: nothing can be written", topic.name,
                               in_sync, topic.replicas));
  if (topic.replicas >= 2 && in_sync < 2)
    report.warning(fmt::format("{}: min.insync.replicas is {}: one broker's disk alone may hold what was accepted",
                               topic.name, in_sync));
  if (topic.replicas >= 2 && in_sync == topic.replicas)
    report.warning(fmt::format("{}: min.insync.replicas is {} of {} replicas: no broker may be away", topic.name,
                               in_sync, topic.replicas));
  if (topic.leaderless > 0)
    report.problem(
        fmt::format("{}: {} partitions have no leader: nothing can be written there", topic.name, topic.leaderless));
  else if (topic.in_sync < topic.replicas)
    report.warning(fmt::format("{}: a partition has {} of its {} replicas in sync now", topic.name, topic.in_sync,
                               topic.replicas));
  if (plan.replicas && topic.replicas < *plan.replicas)
    report.problem(fmt::format("{}: {} replicas, not {}", topic.name, topic.replicas, *plan.replicas));
  if (topic.replicas == 1)
    report.warning(fmt::format(
        "{}: one replica: what was accepted is lost with that broker's disk, and on a power failure", topic.name));
  if (setting(topic, "unclean.leader.election.enable") == "true")
    report.problem(fmt::format("{}: unclean.leader.election.enable is true: accepted records can be lost", topic.name));
}

void check_topic(const TopicState& topic, const TopicPlan& plan, TopicsReport& report) {
  check_cleanup(topic, plan, report);
  check_retention(topic, plan, report);
  check_tombstones(topic, report);
  check_replicas(topic, plan, report);
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
  for (const auto& topic : topics) {
    const auto at = topic.settings.find("retention.ms");
    if (at == topic.settings.end()) continue;
    const auto ms = number_in(at->second);
    out[topic.stream] = ms < 0 ? std::chrono::milliseconds::max() : std::chrono::milliseconds(ms);
  }
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
  auto counts = partition_counts(client->get(), config, limit);
  if (!counts) return counts.error();
  return made;
}

TopicsReport check_topics(const std::vector<TopicState>& topics, const TopicPlan& plan) {
  TopicsReport report;
  report.problems = wrong_partitions(topics, plan);
  for (const auto& topic : topics) {
    if (!topic.exists) {
      report.problem(topic.name + " is missing: run `assay topics create`");
      continue;
    }
    if (topic.stream == Stream::catalog && topic.partitions != 1)
      report.problem(fmt::format("{} has {} partitions, it must have one", topic.name, topic.partitions));
    check_topic(topic, plan, report);
  }
  return report;
}

TopicsReport check_cluster(const ClusterState& cluster, const TopicPlan& plan) {
  auto report = check_topics(cluster.topics, plan);
  int replicas = 0;
  for (const auto& topic : cluster.topics) replicas = std::max(replicas, topic.replicas);
  for (const auto& topic : cluster.internal)
    if (topic.replicas < replicas)
      report.warning(fmt::format(
          "{}: {} replicas where the topics have {}: positions and transactions are lost with fewer brokers "
          "than records are",
          topic.name, topic.replicas, replicas));
  return report;
}

}  // namespace assay
