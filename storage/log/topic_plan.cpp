#include "storage/log/topic_plan.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <charconv>

namespace assay {
namespace {

using Settings = std::map<std::string, std::string>;

// How long a tombstone of a compacted topic must be there at least: workers throw away state that was not up to date
// for nearly so long (ReplicaConfig::stale_after).
constexpr std::chrono::milliseconds tombstones_min = std::chrono::hours(24);

long long number_in(const std::string& text) {
  long long value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// Those whose key decides the partition: their numbers of partitions must agree.
bool is_keyed(const TopicState& topic) {
  return topic.stream == Stream::feedback || topic.stream == Stream::requests || topic.stream == Stream::parked;
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

// Of what is deleted by its age. The size of a partition says nothing of whether a record has been read.
void check_retention_by_size(const TopicState& topic, TopicsReport& report) {
  const auto bytes = setting(topic, "retention.bytes");
  const bool deletes = setting(topic, "cleanup.policy").find("delete") != std::string::npos;
  if (bytes.empty() || number_in(bytes) < 0 || !deletes) return;
  if (kept(topic.stream) == Kept::by_time)
    report.problem(fmt::format(
        "{}: retention.bytes is {}, it must be -1: records would be lost before they are read, or recounted; "
        "kafka-configs.sh --alter sets it",
        topic.name, bytes));
  else
    report.warning(fmt::format("{}: retention.bytes is {}: records go when there are many, whatever their age",
                               topic.name, bytes));
}

void check_dead_letters(const TopicState& topic, const TopicPlan& plan, TopicsReport& report) {
  const auto retention = setting(topic, "retention.ms");
  if (topic.stream != Stream::deadletters || retention.empty() || number_in(retention) < 0) return;
  if (number_in(retention) < ms_of(plan.dead_letters))
    report.warning(fmt::format("{}: retention.ms is {}, less than the {} planned: dead letters are gone after it",
                               topic.name, retention, ms_of(plan.dead_letters)));
}

void check_record_size(const TopicState& topic, const TopicPlan& plan, TopicsReport& report) {
  const auto bytes = setting(topic, "max.message.bytes");
  if (bytes.empty() || static_cast<std::size_t>(number_in(bytes)) >= plan.record_bytes_max) return;
  report.problem(fmt::format(
      "{}: max.message.bytes is {}, less than the {} of our longest records: one that it refuses holds up its "
      "partition; kafka-configs.sh --alter sets it",
      topic.name, bytes, plan.record_bytes_max));
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

void check_times(const TopicState& topic, TopicsReport& report) {
  if (setting(topic, "message.timestamp.type") != "CreateTime") return;
  report.warning(
      topic.name +
      ": message.timestamp.type is CreateTime: the clocks of those who write decide when a record is old, and "
      "one that is days behind has its records deleted unread; set LogAppendTime");
}

void check_topic(const TopicState& topic, const TopicPlan& plan, TopicsReport& report) {
  check_cleanup(topic, plan, report);
  check_retention(topic, plan, report);
  check_retention_by_size(topic, report);
  check_dead_letters(topic, plan, report);
  check_record_size(topic, plan, report);
  check_tombstones(topic, report);
  check_times(topic, report);
  check_replicas(topic, plan, report);
}

// These need not be like the keyed ones, but are made so: where they differ, partitions have been added most likely.
void check_other_partitions(const TopicState& topic, const TopicState* keyed, TopicsReport& report) {
  if (!keyed || is_keyed(topic) || topic.stream == Stream::catalog || topic.partitions == keyed->partitions) return;
  report.warning(fmt::format(
      "{} has {} partitions, {} has {}: where they have been added, the doors and workers that run do nothing until "
      "they are restarted, and a door's view has to be made anew",
      topic.name, topic.partitions, keyed->name, keyed->partitions));
}

}  // namespace

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
  // A topic's age is the brokers' affair: of a front door whose clock is days behind they would delete at once what has
  // not been read, and of one whose clock is ahead they take nothing.
  Settings settings{{"min.insync.replicas", replicas >= 3 ? "2" : "1"}, {"message.timestamp.type", "LogAppendTime"}};
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

std::optional<std::chrono::milliseconds> retention_of(const TopicState& topic) {
  const auto text = setting(topic, "retention.ms");
  if (text.empty()) return {};
  const auto ms = number_in(text);
  return ms < 0 ? std::chrono::milliseconds::max() : std::chrono::milliseconds(ms);
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
    check_other_partitions(topic, first_keyed(topics), report);
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
