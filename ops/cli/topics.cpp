#include "storage/log/kafka_topics.hpp"

#include <algorithm>
#include <iostream>
#include <thread>

#include "ops/cli/kafka_options.hpp"
#include "storage/log/kafka_offsets.hpp"

namespace assay::cli {
namespace {

int judge(const ClusterState& cluster, const TopicPlan& plan, const KafkaOptions& kafka) {
  auto found = check_cluster(cluster, plan);
  for (const auto& topic : cluster.topics)
    if (topic.stream == Stream::feedback && topic.exists)
      if (auto grown = problem_with_partitions(kafka.config, topic.partitions, kafka.wait))
        found.problems.push_back(std::move(*grown));
  for (const auto& warning : found.warnings) std::cout << "warning: " << warning << "\n";
  for (const auto& problem : found.problems) std::cout << "problem: " << problem << "\n";
  if (found.ok()) std::cout << "the topics keep the promises that they can\n";
  return found.ok() ? ok : failure;
}

// Records that are there, and how many of them the workers have not decided yet.
std::string fill_of(const TopicState& topic, const KafkaOffsets& offsets, std::chrono::milliseconds limit) {
  std::vector<StreamPartition> where;
  for (Partition p = 0; p < topic.partitions; ++p) where.push_back({topic.stream, p});
  const auto begins = offsets.begins(where, limit), ends = offsets.ends(where, limit);
  if (!begins || !ends) return "  offsets can't be had";
  Offset records = 0, behind = 0;
  for (const auto& of : where) records += ends->at(of) - begins->at(of);
  auto out = "  offsets " + std::to_string(records);
  if (topic.stream != Stream::feedback) return out;
  const auto committed = offsets.committed(where, limit);
  if (!committed) return out;
  for (const auto& of : where) {
    const auto at = committed->find(of);
    behind += ends->at(of) - std::max(begins->at(of), at == committed->end() ? 0 : at->second);
  }
  return out + "  behind " + std::to_string(behind);
}

bool is_settled(const ClusterState& cluster) {
  return std::ranges::all_of(cluster.topics, [](const TopicState& topic) {
    return topic.exists && topic.leaderless == 0 && topic.in_sync >= topic.replicas;
  });
}

// What has just been made is not known to every broker at once, nor led by one.
Result<ClusterState, std::string> describe_made(const KafkaConfig& config, std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  for (;;) {
    auto found = describe_cluster(config, limit);
    if (!found || is_settled(*found) || std::chrono::steady_clock::now() >= deadline) return found;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

int describe(const ClusterState& cluster, const KafkaOptions& kafka) {
  const auto offsets = KafkaOffsets::open(kafka.config, "resolve");
  if (!offsets) return complain(offsets.error());
  std::cout << "brokers " << cluster.brokers << "\n";
  for (const auto& topic : cluster.internal) std::cout << topic.name << "  replicas " << topic.replicas << "\n";
  for (const auto& topic : cluster.topics) {
    std::cout << topic.name;
    if (!topic.exists) {
      std::cout << "  missing\n";
      continue;
    }
    std::cout << "  partitions " << topic.partitions << "  replicas " << topic.replicas << "  in sync "
              << topic.in_sync;
    for (const auto& [name, value] : topic.settings) std::cout << "  " << name << "=" << value;
    std::cout << fill_of(topic, **offsets, kafka.wait) << "\n";
  }
  return ok;
}

}  // namespace

int topics(std::vector<std::string> args) {
  CLI::App app("Makes the topics on Kafka, and refuses what would lose records silently", "assay topics");
  KafkaOptions kafka;
  TopicPlan plan;
  std::string verb;
  app.add_option("verb", verb, "create, check or describe")
      ->required()
      ->check(CLI::IsMember({"create", "check", "describe"}))
      ->configurable(false);
  kafka.add_to(app);
  app.add_option("--partitions", plan.partitions,
                 "Of each topic; it can't be changed later. Default: that of the topics that are there, or 12")
      ->check(CLI::Range(1, 10'000));
  app.add_option("--replicas", plan.replicas, "Of each topic. Default: 3, or fewer where there are fewer brokers")
      ->check(CLI::Range(1, 10));
  std::chrono::milliseconds requests = plan.requests;
  add_duration(app, "--request-retention", requests, "How long ids of traces are kept, by the hour; 0s: for ever");
  // Not what --retention is to a front door, whose store it is: one file, or one environment, is for both.
  add_duration(app, "--log-retention", plan.retention,
               "Of feedback, traces and assessments; of new topics, and checked");
  std::chrono::milliseconds by_old_name = plan.retention;
  add_duration(app, "--retention", by_old_name, "The same, by its old name");
  app.get_option("--retention")->configurable(false);
  add_duration(app, "--park-max", plan.park_max, "The workers': retention must be as long");
  add_duration(app, "--dedupe-window", plan.dedupe_window, "The workers': retention must be as long");
  const auto settle = [&]() -> std::optional<std::string> {
    if (app.count("--retention") > 0) {
      if (app.count("--log-retention") > 0 && plan.retention != by_old_name)
        return "--log-retention and --retention, its old name, say different things";
      plan.retention = by_old_name;
      app.get_option("--log-retention")->default_str(duration_text(by_old_name));  // as --check prints it
    }
    // Before they are made: nothing here changes a topic that is there.
    if (verb == "create" && plan.retention < std::max(plan.park_max, plan.dedupe_window))
      return "--log-retention: shorter than --park-max or --dedupe-window: feedback would be deleted while it waits";
    return kafka.settle_for_tool();
  };
  if (const auto parsed = parse(app, std::move(args), settle); !parsed.run) return parsed.code;
  plan.record_bytes_max = record_bytes_max(kafka.config);
  plan.requests = std::chrono::ceil<std::chrono::hours>(requests);

  bool made_some = false;
  if (verb == "create") {
    const auto made = create_topics(kafka.config, plan, kafka.wait);
    if (!made) return complain(made.error());
    for (const auto& name : *made) std::cout << "created " << name << "\n";
    made_some = !made->empty();
  }
  const auto found = made_some ? describe_made(kafka.config, kafka.wait) : describe_cluster(kafka.config, kafka.wait);
  if (!found) return complain(found.error());
  if (verb == "describe") return describe(*found, kafka);
  return judge(*found, plan, kafka);
}

}  // namespace assay::cli
