#include "ops/cli/kept_too_short.hpp"

#include <gtest/gtest.h>

namespace assay::cli {
namespace {

using namespace std::chrono_literals;

TopicState topic(Stream stream, const char* cleanup, const char* retention_ms) {
  return {.stream = stream,
          .name = "assay." + std::string(name_of(stream)),
          .exists = true,
          .settings = {{"cleanup.policy", cleanup}, {"retention.ms", retention_ms}}};
}

std::vector<TopicState> topics() {  // as `topics create` makes them
  return {topic(Stream::feedback, "delete", "604800000"), topic(Stream::requests, "compact,delete", "2592000000")};
}

constexpr ResolvePolicy workers{.park_max = 24h, .dedupe_window = 1h, .request_retention = 30 * 24h};

TEST(KeptTooShort, NothingIsSaidOfTheDefaults) { EXPECT_EQ(kept_too_short(topics(), workers).size(), 0u); }

TEST(KeptTooShort, EachFlagThatAsksForMoreThanItsTopicKeepsIsNamedWithBoth) {
  auto policy = workers;
  policy.dedupe_window = 14 * 24h;
  policy.park_max = 8 * 24h;
  policy.request_retention = 60 * 24h;
  const auto said = kept_too_short(topics(), policy);
  ASSERT_EQ(said.size(), 3u);
  EXPECT_TRUE(said[0].starts_with("assay.feedback keeps records for 7d, and --dedupe-window is 14d: ")) << said[0];
  EXPECT_TRUE(said[1].starts_with("assay.feedback keeps records for 7d, and --park-max is 8d: ")) << said[1];
  EXPECT_TRUE(said[2].starts_with("assay.requests keeps records for 30d, and --request-retention is 60d: ")) << said[2];
}

TEST(KeptTooShort, IdsForEverNeedATopicThatDeletesNone) {
  auto policy = workers;
  policy.request_retention = 0h;
  const auto said = kept_too_short(topics(), policy);
  ASSERT_EQ(said.size(), 1u);
  EXPECT_NE(said[0].find("--request-retention is 0s (for ever)"), std::string::npos) << said[0];
  // What is only compacted keeps them, whatever stands in retention.ms.
  EXPECT_TRUE(kept_too_short({topic(Stream::requests, "compact", "604800000")}, policy).empty());
  EXPECT_TRUE(kept_too_short({topic(Stream::requests, "compact,delete", "-1")}, policy).empty());
}

TEST(KeptTooShort, OfTopicsThatDoNotTellNothingIsSaid) {
  auto policy = workers;
  policy.dedupe_window = 14 * 24h;
  EXPECT_TRUE(kept_too_short({{.stream = Stream::feedback, .name = "assay.feedback", .exists = true}}, policy).empty());
}

}  // namespace
}  // namespace assay::cli
