#include "storage/log/kafka_topics.hpp"

#include <gtest/gtest.h>

#include "tests/contract/kafka_cluster.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;

TopicState& of(std::vector<TopicState>& topics, Stream stream) {
  for (auto& topic : topics)
    if (topic.stream == stream) return topic;
  throw std::logic_error("no such stream");
}

TEST(KafkaTopicsCreate, MakesWhatIsMissingOnceAndPassesItsOwnCheck) {
  SKIP_WITHOUT_KAFKA();
  const KafkaConfig config{.brokers = *kafka_for_tests(), .topic_prefix = random_id("test-") + "."};
  const TopicPlan plan{.partitions = 3};
  auto before = describe_topics(config, 20s);
  ASSERT_TRUE(before) << before.error();
  EXPECT_EQ(check_topics(*before, plan).problems.size(), std::size(all_streams)) << "looking makes no topic";
  auto made = create_topics(config, plan, 20s);
  ASSERT_TRUE(made) << made.error();
  EXPECT_EQ(made->size(), std::size(all_streams));
  auto again = create_topics(config, plan, 20s);
  ASSERT_TRUE(again) << again.error();
  EXPECT_TRUE(again->empty());
  auto topics = describe_topics(config, 20s);
  ASSERT_TRUE(topics) << topics.error();
  const auto report = check_topics(*topics, plan);
  EXPECT_TRUE(report.ok()) << report.problems.front();
  EXPECT_EQ(of(*topics, Stream::feedback).partitions, 3);
  EXPECT_EQ(of(*topics, Stream::catalog).partitions, 1);
  EXPECT_EQ(of(*topics, Stream::parked).settings["cleanup.policy"], "compact");
  EXPECT_EQ(of(*topics, Stream::feedback).settings["retention.ms"], "604800000");
  EXPECT_EQ(of(*topics, Stream::feedback).in_sync, of(*topics, Stream::feedback).replicas);
}

}  // namespace
}  // namespace assay
