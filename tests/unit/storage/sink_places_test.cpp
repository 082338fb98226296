#include "storage/sinks/sink_places.hpp"

#include <gtest/gtest.h>

namespace assay {
namespace {

using Fate = SinkPlaces::Fate;

constexpr StreamPartition feedback{Stream::assessments, 3}, traces{Stream::traces, 3};

TEST(SinkPlaces, ThePositionIsThatOfTheOldestRecordThatHasNotEnded) {
  SinkPlaces places;
  EXPECT_EQ(places.begin(feedback, 10, 10), 10);
  for (Offset offset = 10; offset < 13; ++offset) places.read(feedback, offset);
  EXPECT_EQ(places.position(feedback), 10);
  places.end(feedback, 11, Fate::duplicate);
  EXPECT_EQ(places.position(feedback), 10);
  EXPECT_TRUE(places.has(feedback, 11));
  EXPECT_FALSE(places.has(feedback, 10));
  places.end(feedback, 10, Fate::applied);
  EXPECT_EQ(places.position(feedback), 12);
  EXPECT_EQ(places.unfinished(), 1);
  EXPECT_FALSE(places.has(feedback, 13)) << "not read yet";
  places.end(feedback, 12, Fate::dead);
  EXPECT_EQ(places.ledger(), (SinkLedger{.read = 3, .applied = 1, .duplicate = 1, .dead = 1}));
}

TEST(SinkPlaces, WhatHadEndedInAnEarlierLifeIsReadForTheMarksAndMovesNothing) {
  SinkPlaces places;
  EXPECT_EQ(places.begin(feedback, 5, 2), 2);
  EXPECT_TRUE(places.was_read(feedback, 1));
  EXPECT_TRUE(places.ended_before(feedback, 4));
  for (Offset offset = 2; offset < 5; ++offset) places.read(feedback, offset);
  EXPECT_EQ(places.ledger(), SinkLedger{});
  EXPECT_EQ(places.unfinished(), 0);
  EXPECT_EQ(places.position(feedback), 5);
  EXPECT_TRUE(places.has(feedback, 2));
  EXPECT_TRUE(places.moved().empty());
  EXPECT_FALSE(places.ended_before(feedback, 5));
}

TEST(SinkPlaces, MarksThatKnowMoreThanThePositionSkipNothing) {
  SinkPlaces places;
  EXPECT_EQ(places.begin(feedback, 5, 9), 5);
}

TEST(SinkPlaces, ASourceThatIsOpenedAgainGoesOnWhereItWas) {
  SinkPlaces places;
  places.begin(feedback, 0, 0);
  places.read(feedback, 0);
  EXPECT_EQ(places.begin(feedback, 0, 0), 1);
  EXPECT_TRUE(places.was_read(feedback, 0));
  EXPECT_EQ(places.unfinished(), 1);
}

TEST(SinkPlaces, APositionIsToBeSavedUntilItWas) {
  SinkPlaces places;
  places.begin(traces, 0, 0);
  places.read(traces, 0);
  places.end(traces, 0, Fate::applied);
  const auto moved = places.moved();
  ASSERT_EQ(moved.size(), 1u);
  EXPECT_EQ(moved[0].of, traces);
  EXPECT_EQ(moved[0].next, 1);
  EXPECT_EQ(places.moved().size(), 1u) << "saving it failed";
  places.saved(moved);
  EXPECT_TRUE(places.moved().empty());
  EXPECT_EQ(places.ledger(), SinkLedger{}) << "of assessments alone";
}

TEST(SinkPlaces, OfAPartitionThatIsNotFollowedNothingIsThere) {
  SinkPlaces places;
  EXPECT_EQ(places.position(feedback), 0);
  EXPECT_FALSE(places.has(feedback, 0));
}

TEST(SinkPlaces, OnALogThatWasMadeAnewEverythingBeginsAnew) {
  SinkPlaces places;
  EXPECT_EQ(places.begin(feedback, 10, 7), 7);
  EXPECT_EQ(places.begin(traces, 4, 4), 4);
  std::vector<StreamPartition> begun;
  for (const auto& [of, next] : places.start_over()) {
    EXPECT_EQ(next, 0);
    begun.push_back(of);
  }
  EXPECT_EQ(begun.size(), 2u);
  EXPECT_FALSE(places.was_read(feedback, 0));
  EXPECT_FALSE(places.ended_before(feedback, 0));
  places.read(feedback, 0);
  EXPECT_EQ(places.unfinished(), 1);
}

}  // namespace
}  // namespace assay
