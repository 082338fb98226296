#include "storage/log/kafka_topics.hpp"

#include <iostream>

#include "ops/cli/kafka_options.hpp"

namespace assay::cli {
namespace {

int judge(const std::vector<TopicState>& topics, const TopicPlan& plan) {
  const auto found = check_topics(topics, plan);
  for (const auto& warning : found.warnings) std::cout << "warning: " << warning << "\n";
  for (const auto& problem : found.problems) std::cout << "problem: " << problem << "\n";
  if (found.ok()) std::cout << "the topics keep the promises that they can\n";
  return found.ok() ? ok : failure;
}

void describe(const std::vector<TopicState>& topics) {
  for (const auto& topic : topics) {
    std::cout << topic.name;
    if (!topic.exists) {
      std::cout << "  missing\n";
      continue;
    }
    std::cout << "  partitions " << topic.partitions << "  replicas " << topic.replicas;
    for (const auto& [name, value] : topic.settings) std::cout << "  " << name << "=" << value;
    std::cout << "\n";
  }
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
  app.add_option("--partitions", plan.partitions, "Of each topic; it can't be changed later")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  app.add_option("--replicas", plan.replicas_max, "Fewer where there are fewer brokers")
      ->check(CLI::Range(1, 10))
      ->capture_default_str();
  std::chrono::milliseconds requests = plan.requests;
  add_duration(app, "--request-retention", requests, "How long ids of traces are kept, by the hour; 0s: for ever");
  if (const auto parsed = parse(app, std::move(args)); !parsed.run) return parsed.code;
  plan.requests = std::chrono::ceil<std::chrono::hours>(requests);
  if (const auto problem = kafka.settle()) return complain(*problem, usage);

  if (verb == "create") {
    const auto made = create_topics(kafka.config, plan, kafka.wait);
    if (!made) return complain(made.error());
    for (const auto& name : *made) std::cout << "created " << name << "\n";
  }
  const auto found = describe_topics(kafka.config, kafka.wait);
  if (!found) return complain(found.error());
  if (verb == "describe") {
    describe(*found);
    return ok;
  }
  // Of topics that were there before, their own count of partitions is the plan's, unless another one is asked for.
  for (const auto& topic : *found) {
    if (topic.stream != Stream::feedback || !topic.exists) continue;
    if (app.count("--partitions") > 0 && topic.partitions != plan.partitions)
      return complain(topic.name + " has " + std::to_string(topic.partitions) + " partitions, not " +
                      std::to_string(plan.partitions) + ": it can't be changed");
    plan.partitions = topic.partitions;
  }
  return judge(*found, plan);
}

}  // namespace assay::cli
