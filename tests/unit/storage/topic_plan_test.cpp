#include "storage/log/topic_plan.hpp"

#include <gtest/gtest.h>

namespace assay {
namespace {

std::vector<TopicState> good() {
  std::vector<TopicState> topics;
  for (const auto stream : all_streams) {
    TopicState topic{.stream = stream,
                     .name = "assay." + std::string(name_of(stream)),
                     .exists = true,
                     .partitions = stream == Stream::catalog ? 1 : 6,
                     .replicas = 3,
                     .in_sync = 3};
    const bool compacted = stream == Stream::requests || stream == Stream::parked || stream == Stream::catalog;
    topic.settings = {{"cleanup.policy", compacted ? "compact" : "delete"},
                      {"retention.ms", "604800000"},
                      {"min.insync.replicas", "2"}};
    if (stream == Stream::deadletters) {
      topic.settings["cleanup.policy"] = "compact,delete";
      topic.settings["retention.ms"] = "2592000000";
    }
    topic.settings["retention.bytes"] = "-1";
    topic.settings["max.message.bytes"] = "1048588";
    topics.push_back(topic);
  }
  return topics;
}

TopicState& of(std::vector<TopicState>& topics, Stream stream) {
  for (auto& topic : topics)
    if (topic.stream == stream) return topic;
  throw std::logic_error("no such stream");
}

void expect_problem(const std::vector<TopicState>& topics, const std::string& words) {
  const auto report = check_topics(topics, {});
  ASSERT_EQ(report.problems.size(), 1u);
  EXPECT_NE(report.problems[0].find(words), std::string::npos) << report.problems[0];
}

TEST(TopicPlan, FindsNothingWrongWithGoodTopics) {
  const auto report = check_topics(good(), {});
  EXPECT_TRUE(report.ok());
  EXPECT_TRUE(report.warnings.empty());
}

TEST(TopicPlan, NamesWhatIsMissingMismatchedOrLosesRecords) {
  auto topics = good();
  of(topics, Stream::traces).exists = false;
  expect_problem(topics, "assay.traces is missing");
  topics = good();
  of(topics, Stream::parked).partitions = 5;
  expect_problem(topics, "assay.parked has 5 partitions, assay.feedback has 6");
  topics = good();
  of(topics, Stream::feedback).exists = false;
  of(topics, Stream::parked).partitions = 5;
  const auto without = check_topics(topics, {}).problems;
  ASSERT_EQ(without.size(), 2u);
  EXPECT_NE(without[0].find("assay.parked has 5 partitions, assay.requests has 6"), std::string::npos) << without[0];
  topics = good();
  of(topics, Stream::parked).settings["cleanup.policy"] = "compact,delete";
  expect_problem(topics, "must be 'compact'");
  topics = good();
  of(topics, Stream::requests).settings["cleanup.policy"] = "delete";
  expect_problem(topics, "ids would be lost");
  topics = good();
  of(topics, Stream::feedback).settings["cleanup.policy"] = "compact";
  expect_problem(topics, "must be 'delete'");
  topics = good();
  of(topics, Stream::feedback).settings["unclean.leader.election.enable"] = "true";
  expect_problem(topics, "unclean.leader.election");
  topics = good();
  of(topics, Stream::feedback).replicas = of(topics, Stream::feedback).in_sync = 1;
  expect_problem(topics, "nothing can be written");
  topics = good();
  of(topics, Stream::feedback).leaderless = 1;
  expect_problem(topics, "1 partitions have no leader");
  topics = good();
  of(topics, Stream::traces).settings["retention.ms"] = "86399999";
  expect_problem(topics, "feedback may be parked");
  topics = good();
  of(topics, Stream::catalog).partitions = 2;
  expect_problem(topics, "must have one");
}

TEST(TopicPlan, NamesWhatDeletesRecordsBySizeOrRefusesLongOnes) {
  for (const auto stream : {Stream::feedback, Stream::assessments, Stream::traces}) {
    auto topics = good();
    of(topics, stream).settings["retention.bytes"] = "1000000";
    expect_problem(topics, "retention.bytes is 1000000, it must be -1");
    topics = good();
    of(topics, stream).settings["max.message.bytes"] = "10000";
    expect_problem(topics, "max.message.bytes is 10000, less than the 1000000 of our longest records");
  }
  auto topics = good();
  of(topics, Stream::parked).settings["retention.bytes"] = "1000000";  // it is compacted only
  EXPECT_TRUE(check_topics(topics, {}).ok());
  of(topics, Stream::parked).settings["max.message.bytes"] = "10000";
  EXPECT_TRUE(check_topics(topics, {.record_bytes_max = 10'000}).ok()) << "as the workers are told";
}

TEST(TopicPlan, NamesWhatIsNotAsAskedFor) {
  const auto fewer = check_topics(good(), {.replicas = 4}).problems;
  ASSERT_EQ(fewer.size(), std::size(all_streams));
  EXPECT_EQ(fewer[0], "assay.feedback: 3 replicas, not 4");
  const auto others = check_topics(good(), {.partitions = 5}).problems;
  ASSERT_EQ(others.size(), 3u);
  EXPECT_EQ(others[0], "assay.feedback has 6 partitions, not 5: it can't be changed");
}

void expect_warning(const std::vector<TopicState>& topics, const std::string& words) {
  const auto report = check_topics(topics, {});
  EXPECT_TRUE(report.ok());
  ASSERT_EQ(report.warnings.size(), 1u);
  EXPECT_NE(report.warnings[0].find(words), std::string::npos) << report.warnings[0];
}

TEST(TopicPlan, WarnsWhereTheyPromiseTooLittle) {
  auto topics = good();
  auto* feedback = &of(topics, Stream::feedback);
  feedback->replicas = feedback->in_sync = 1;
  feedback->settings["min.insync.replicas"] = "1";
  expect_warning(topics, "one replica");
  topics = good();
  feedback = &of(topics, Stream::feedback);
  feedback->replicas = feedback->in_sync = 2;
  feedback->settings["min.insync.replicas"] = "1";
  expect_warning(topics, "one broker's disk alone");
  feedback->settings["min.insync.replicas"] = "2";
  expect_warning(topics, "no broker may be away");
  topics = good();
  of(topics, Stream::feedback).in_sync = 2;
  expect_warning(topics, "2 of its 3 replicas in sync");
  topics = good();
  of(topics, Stream::traces).settings["retention.ms"] = "86400000";
  expect_warning(topics, "less than the 604800000 planned");
  topics = good();
  of(topics, Stream::parked).settings["delete.retention.ms"] = "3600000";
  expect_warning(topics, "release once more what has ended");
  topics = good();
  of(topics, Stream::deadletters).settings["retention.ms"] = "60000";
  expect_warning(topics, "assay.deadletters: retention.ms is 60000, less than the 2592000000 planned");
  topics = good();
  of(topics, Stream::feedback).settings["message.timestamp.type"] = "CreateTime";
  expect_warning(topics, "assay.feedback: message.timestamp.type is CreateTime");
  topics = good();
  of(topics, Stream::deadletters).settings["retention.bytes"] = "1000000";
  expect_warning(topics, "assay.deadletters: retention.bytes is 1000000: records go");
  topics = good();
  of(topics, Stream::requests).settings["cleanup.policy"] = "compact,delete";
  of(topics, Stream::requests).settings["retention.ms"] = "2592000000";
  EXPECT_TRUE(check_topics(topics, {}).warnings.empty());
  of(topics, Stream::requests).settings["retention.bytes"] = "1000000";
  expect_warning(topics, "assay.requests: retention.bytes is 1000000: records go");
  const auto report = check_cluster({3, good(), {{"__transaction_state", 1}, {"__consumer_offsets", 3}}}, {});
  EXPECT_TRUE(report.ok());
  ASSERT_EQ(report.warnings.size(), 1u);
  EXPECT_NE(report.warnings[0].find("__transaction_state: 1 replicas"), std::string::npos);
}

// Nobody has to make them alike; but what has grown keeps what was started before from working.
TEST(TopicPlan, WarnsOfTopicsThatAreNotAsTheyAreMade) {
  for (const auto stream : {Stream::assessments, Stream::traces, Stream::deadletters}) {
    auto topics = good();
    of(topics, stream).partitions = 8;
    expect_warning(topics, "has 8 partitions, assay.feedback has 6: where they have been added");
  }
}

}  // namespace
}  // namespace assay
