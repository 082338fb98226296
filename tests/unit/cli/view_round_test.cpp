#include "ops/cli/view_round.hpp"

#include <gtest/gtest.h>

#include "ops/runtime/error.hpp"

namespace assay::cli {
namespace {

constexpr StreamPartition feedback{Stream::feedback, 0}, empty{Stream::feedback, 1}, traces{Stream::traces, 1},
    assessments{Stream::assessments, 0};

// A door that writes without a pause, a record a millisecond; workers and followers are behind it. The clock is moved
// by hand.
struct Cluster {
  Offset now_ms = 10'000, workers_lag_ms = 0, followers_lag_ms = 0;
  bool brokers_answer = true;
  int asked_for_ends = 0;

  ViewRound round() {
    return ViewRound({
        .accepted =
            [this] {
              return ViewRound::Accepted{now_ms, {{feedback, now_ms}, {empty, 0}, {traces, now_ms}}};
            },
        .committed = [this](std::span<const StreamPartition> of) -> Result<ViewRound::Offsets> {
          if (!brokers_answer) return Error::log_unavailable;
          ViewRound::Offsets out;
          for (const auto& where : of)  // of an empty partition no worker commits anything
            if (where != empty) out[where] = now_ms - workers_lag_ms;
          return out;
        },
        .ends = [this]() -> Result<ViewRound::Offsets> {
          ++asked_for_ends;
          if (!brokers_answer) return Error::log_unavailable;
          return ViewRound::Offsets{{assessments, now_ms}};
        },
        .followed =
            [this](const ViewRound::Offsets& ends) {
              return std::all_of(ends.begin(), ends.end(),
                                 [this](const auto& one) { return one.second <= now_ms - followers_lag_ms; });
            },
    });
  }
  // The milliseconds until the round is over.
  Offset settled(ViewRound& round, Offset within_ms) {
    const auto began = now_ms;
    for (; now_ms - began <= within_ms; now_ms += 50)
      if (const auto version = round.look()) {
        EXPECT_EQ(*version, began) << "what was acknowledged when it began";
        return now_ms - began;
      }
    return -1;
  }
};

TEST(ViewRound, WhereNobodyIsBehindOneLookIsEnough) {
  Cluster cluster;
  auto round = cluster.round();
  EXPECT_EQ(cluster.settled(round, 0), 0);
  cluster.now_ms += 7;
  EXPECT_EQ(cluster.settled(round, 0), 0) << "the next round is of what was acknowledged since";
}

// Experiments and datasets, too, go past the workers.
TEST(ViewRound, WaitsForEachStreamThatTheDoorWritesTo) {
  for (const auto stream : {Stream::traces, Stream::requests, Stream::catalog}) {
    bool there = false;
    ViewRound round({.accepted =
                         [&] {
                           return ViewRound::Accepted{1, {{{stream, 0}, 5}}};
                         },
                     .committed = [](auto) { return ViewRound::Offsets(); },
                     .ends = []() -> Result<ViewRound::Offsets> { return ViewRound::Offsets(); },
                     .followed = [&](const ViewRound::Offsets& ends) { return ends.empty() || there; }});
    EXPECT_FALSE(round.look()) << name_of(stream);
    there = true;
    EXPECT_EQ(round.look(), 1) << name_of(stream);
  }
}

TEST(ViewRound, WhileWritesGoOnItEndsAsSoonAsTheLagHasPassed) {
  Cluster behind_workers{.workers_lag_ms = 1'500};
  auto by_workers = behind_workers.round();
  EXPECT_EQ(behind_workers.settled(by_workers, 2'000), 1'500);
  EXPECT_EQ(behind_workers.asked_for_ends, 1);
  Cluster behind_here{.followers_lag_ms = 1'500};
  auto here = behind_here.round();
  EXPECT_EQ(behind_here.settled(here, 2'000), 1'500);
  EXPECT_EQ(behind_here.asked_for_ends, 1);
}

TEST(ViewRound, BrokersThatDoNotAnswerCostItNothingThatItHad) {
  Cluster cluster{.workers_lag_ms = 1'000};
  auto round = cluster.round();
  EXPECT_FALSE(round.look());
  const auto began = cluster.now_ms;
  cluster.brokers_answer = false;
  cluster.now_ms += 1'000;
  EXPECT_FALSE(round.look());
  cluster.brokers_answer = true;
  EXPECT_EQ(round.look(), std::optional<std::int64_t>(began));
}

}  // namespace
}  // namespace assay::cli
