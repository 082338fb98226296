#include "ops/cli/topics_claim.hpp"

#include <gtest/gtest.h>

#include "storage/state/memory_key_value.hpp"

namespace assay::cli {
namespace {

TEST(ClaimTopics, ADirectoryIsOfOneClusterAndOnePrefix) {
  MemoryKeyValue db;
  EXPECT_FALSE(claim_topics(db, "d", "c1", "assay."));
  EXPECT_FALSE(claim_topics(db, "d", "c1", "assay."));
  const auto cluster = claim_topics(db, "d", "c2", "assay.");
  ASSERT_TRUE(cluster);
  EXPECT_NE(cluster->text.find("d belongs to the topics assay.* of the Kafka cluster c1, and these are assay.* of c2"),
            std::string::npos)
      << cluster->text;
  EXPECT_EQ(cluster->code, usage) << "a setting: it would be as wrong at the next start";
  EXPECT_TRUE(claim_topics(db, "d", "c1", "other."));
  EXPECT_FALSE(claim_topics(db, "d", "c1", "assay.")) << "who is refused changes nothing";
}

TEST(ClaimTopics, WhileNoBrokerIsThereThePrefixIsKnownAndTheClusterIsKeptLater) {
  MemoryKeyValue db;
  EXPECT_FALSE(claim_topics(db, "d", "", "assay."));
  EXPECT_TRUE(claim_topics(db, "d", "", "other."));
  EXPECT_TRUE(claim_topics(db, "d", "c1", "other."));
  EXPECT_FALSE(claim_topics(db, "d", "c1", "assay."));
  EXPECT_FALSE(claim_topics(db, "d", "", "assay.")) << "away again";
  EXPECT_TRUE(claim_topics(db, "d", "c2", "assay."));
}

}  // namespace
}  // namespace assay::cli
