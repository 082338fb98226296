#pragma once
// The topics: made, looked at, judged. The table of streams in kafka_topics.cpp is the design's.
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "storage/log/kafka_config.hpp"

namespace assay {

struct TopicPlan {
  // Of all but the catalog, which has one; never to be changed later. Not said: that of the topics that are there, or
  // 12.
  std::optional<Partition> partitions;
  std::chrono::milliseconds retention = std::chrono::hours(7 * 24);  // of feedback, traces, assessments
  // What the workers are told: retention must cover both, or a sink that waits for a trace loses what it waits with.
  std::chrono::milliseconds park_max = std::chrono::hours(24);
  std::chrono::milliseconds dedupe_window = std::chrono::hours(1);
  std::chrono::hours dead_letters{30 * 24};
  std::chrono::hours requests{30 * 24};  // at least the workers' request-retention; 0: for ever
  std::optional<int> replicas;           // not said: 3, or fewer where there are fewer brokers
};

struct TopicState {
  Stream stream;
  std::string name;
  bool exists = false;
  Partition partitions = 0;
  int replicas = 0;                             // the fewest of a partition
  int in_sync = 0;                              // the same, now
  int leaderless = 0;                           // partitions that nobody leads now
  std::map<std::string, std::string> settings;  // those that matter here: cleanup.policy, retention.ms, …
};

// Kafka's own topics, which transactions and groups rest on.
struct InternalTopic {
  std::string name;
  int replicas = 0;
};

struct ClusterState {
  int brokers = 0;
  std::vector<TopicState> topics;       // in the order of all_streams
  std::vector<InternalTopic> internal;  // those that exist: Kafka makes them when they are first needed
};

struct TopicsReport {
  std::vector<std::string> problems;  // the promises can't be kept so
  std::vector<std::string> warnings;
  bool ok() const { return problems.empty(); }
  void problem(std::string sentence) { problems.push_back(std::move(sentence)); }
  void warning(std::string sentence) { warnings.push_back(std::move(sentence)); }
};

// All block up to `limit`; errors are sentences.

Result<ClusterState, std::string> describe_cluster(const KafkaConfig& config, std::chrono::milliseconds limit);

// How long the topics that are kept by time keep a record; `max()`: for ever. With a client that is there already.
Result<std::map<Stream, std::chrono::milliseconds>, std::string> topic_retentions(rd_kafka_t* client,
                                                                                  const KafkaConfig& config,
                                                                                  std::chrono::milliseconds limit);

// In the order of all_streams.
Result<std::vector<TopicState>, std::string> describe_topics(const KafkaConfig& config,
                                                             std::chrono::milliseconds limit);

// Makes those that are missing, and leaves the others as they are; none where those that are there don't fit the plan.
// The names of those made, when every broker that is asked knows them.
Result<std::vector<std::string>, std::string> create_topics(const KafkaConfig& config, const TopicPlan& plan,
                                                            std::chrono::milliseconds limit);

// Judges what describe_topics found.
TopicsReport check_topics(const std::vector<TopicState>& topics, const TopicPlan& plan);
// The same, and what is said of the internal topics.
TopicsReport check_cluster(const ClusterState& cluster, const TopicPlan& plan);

}  // namespace assay
