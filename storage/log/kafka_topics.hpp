#pragma once
// The topics: made, and looked at. What they must be like: topic_plan.hpp.
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "storage/log/kafka_config.hpp"
#include "storage/log/topic_plan.hpp"

namespace assay {

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

}  // namespace assay
