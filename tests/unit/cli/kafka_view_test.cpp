#include "ops/cli/kafka_view.hpp"

#include <gtest/gtest.h>

namespace assay::cli {
namespace {

TEST(KafkaView, ASinkThatHasNotBegunAPartitionIsAtItsBeginning) {
  const StreamPartition begun{Stream::assessments, 0}, untouched{Stream::assessments, 1};
  EXPECT_EQ(place_of_sink({{begun, 7}}, begun), Offset(7));
  EXPECT_EQ(place_of_sink({{begun, 7}}, untouched), Offset(0)) << "what stands there is pending";
  EXPECT_EQ(place_of_sink({}, begun), std::nullopt) << "there may be none";
}

}  // namespace
}  // namespace assay::cli
