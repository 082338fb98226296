#pragma once
// What the topics must be like: the settings of each, as the design's table has them, and a judgement of those that are
// there. No broker is asked here.
#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "storage/records/record.hpp"

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
  std::chrono::hours requests{30 * 24};      // at least the workers' request-retention; 0: for ever
  std::size_t record_bytes_max = 1'000'000;  // the longest record that is written
  std::optional<int> replicas;               // not said: 3, or fewer where there are fewer brokers
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

enum class Kept { by_time, compacted, compacted_and_by_time, compacted_and_maybe_by_time };
Kept kept(Stream stream);
// Of a topic that is made.
std::map<std::string, std::string> settings_of(Stream stream, const TopicPlan& plan, int replicas);

// By its settings, how long it keeps a record that is kept by time; max(): for ever. None: they do not say.
std::optional<std::chrono::milliseconds> retention_of(const TopicState& topic);
// The first there is of those whose key decides the partition, whose numbers of partitions must agree. None: null.
const TopicState* first_keyed(const std::vector<TopicState>& topics);
// In a sentence each, what is wrong with these numbers.
std::vector<std::string> wrong_partitions(const std::vector<TopicState>& topics, const TopicPlan& plan);

TopicsReport check_topics(const std::vector<TopicState>& topics, const TopicPlan& plan);
// The same, and what is said of the internal topics.
TopicsReport check_cluster(const ClusterState& cluster, const TopicPlan& plan);

}  // namespace assay
