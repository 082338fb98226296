#include "ingest/feedback/feedback_metrics.hpp"

#include <gtest/gtest.h>

namespace assay {
namespace {

using Outcome = Appended::Outcome;

TEST(FeedbackMetrics, WhatIsNewCountsByTheAssessmentAndARepeatOrAConflictByTheRequest) {
  Metrics metrics;
  const FeedbackMetrics counted(metrics);
  counted.count(Op::create, Outcome::appended, 3);
  counted.count(Op::create, Outcome::duplicate, 3);
  counted.count(Op::create, Outcome::conflict, 3);
  counted.count(Op::update, Outcome::appended);
  counted.count(Op::erase, Outcome::appended);
  counted.count(Op::erase, Outcome::duplicate);
  EXPECT_EQ(counted.created.Value(), 3);
  EXPECT_EQ(counted.changed.Value(), 2);
  EXPECT_EQ(counted.repeated.Value(), 2);
  EXPECT_EQ(counted.conflicts.Value(), 1);
}

}  // namespace
}  // namespace assay
