#include "workers/step_size.hpp"

#include <gtest/gtest.h>

namespace assay {
namespace {

struct StepSizeTest : testing::Test {
  void committed(int times) {
    for (int i = 0; i < times; ++i) size.committed();
  }
  StepSize size{[] {
    ResolvePolicy policy;
    policy.outputs_max = 1024;
    policy.bytes_max = 100;
    return policy;
  }()};
};

TEST_F(StepSizeTest, EachStepThatFailsHalvesTheNextDownToAPart) {
  EXPECT_EQ(size.policy().outputs_max, 1024u);
  size.failed();
  EXPECT_EQ(size.policy().outputs_max, 512u);
  EXPECT_EQ(size.policy().bytes_max, 50u);
  for (int i = 0; i < 20; ++i) size.failed();
  EXPECT_EQ(size.policy().outputs_max, 4u);
  EXPECT_EQ(size.policy().bytes_max, 1u) << "never nothing";
}

TEST_F(StepSizeTest, ManyThatAreCommittedMakeItLargerAgainAndOneThatFailsBeginsTheCountAnew) {
  size.failed();
  size.failed();
  committed(15);
  EXPECT_EQ(size.policy().outputs_max, 256u);
  committed(1);
  EXPECT_EQ(size.policy().outputs_max, 512u);
  committed(15);
  size.failed();
  EXPECT_EQ(size.policy().outputs_max, 256u);
  committed(32);
  EXPECT_EQ(size.policy().outputs_max, 1024u);
  committed(100);
  EXPECT_EQ(size.policy().outputs_max, 1024u) << "never more than at first";
}

}  // namespace
}  // namespace assay
