#include "ops/cli/sink_acts.hpp"

#include <gtest/gtest.h>

#include "storage/sinks/positions.hpp"
#include "storage/state/memory_key_value.hpp"

namespace assay::cli {
namespace {

MlflowOptions at(const std::string& url) {
  MlflowOptions options;
  options.rest.mlflow.url = url;
  return options;
}

MlflowOptions in_database(const std::string& url = "http://a") {
  auto options = at(url);
  options.sql.url = "postgresql://db/mlflow";
  return options;
}

using Before = std::optional<std::string>;

TEST(MlflowServer, AnotherOneThanBeforeIsToldOnceWithWhichOneItWas) {
  MemoryKeyValue db;
  EXPECT_EQ(*take_mlflow_server(db, at("http://a")), Before()) << "the first, or kept by an older program";
  EXPECT_EQ(*take_mlflow_server(db, at("http://a")), Before());
  EXPECT_EQ(*take_mlflow_server(db, at("http://b")), Before("http://a"));
  EXPECT_EQ(*take_mlflow_server(db, at("http://b")), Before());
  EXPECT_EQ(*take_mlflow_server(db, at("http://a")), Before("http://b"));
}

TEST(MlflowServer, ADatabaseHasItsPositionsItself) {
  MemoryKeyValue db;
  ASSERT_TRUE(take_mlflow_server(db, at("http://a")));
  EXPECT_EQ(*take_mlflow_server(db, in_database()), Before());
  EXPECT_EQ(*take_mlflow_server(db, in_database("http://b")), Before());
  EXPECT_EQ(*take_mlflow_server(db, at("http://a")), Before()) << "its positions were told here, too";
}

class ReplayTest : public testing::Test {
 protected:
  ReplayTest() {
    EXPECT_TRUE(positions_.save(places_));
    feeder_is_at(now_ - std::chrono::hours(1));
  }
  void feeder_is_at(Instant at) {
    Changes changes;
    changes.put(Family::meta, feeder_position_key, std::to_string(at.time_since_epoch().count()));
    EXPECT_TRUE(db_.write(changes));
  }
  std::vector<Offset> positions() {
    std::vector<Offset> out;
    for (const auto& [of, next] : places_) out.push_back(*positions_.load(of));
    return out;
  }
  bool feeder_has_one() { return db_.get(Family::meta, feeder_position_key)->has_value(); }

  const Instant now_ = *parse_time("2026-11-23T15:57:31Z");
  const std::vector<Position> places_{
      {{Stream::traces, 0}, 5}, {{Stream::assessments, 0}, 7}, {{Stream::assessments, 1}, 9}};
  MemoryKeyValue db_;
  KeyValuePositions positions_{db_, "mlflow"}, others_{db_, "store"};
  const SinkActs acts_{db_};
};

TEST_F(ReplayTest, TheNextStartBeginsAnewAndTheOneAfterItDoesNot) {
  ASSERT_TRUE(take_mlflow_server(db_, at("http://a")));
  ASSERT_TRUE(others_.save(places_));
  EXPECT_EQ(acts_.answer("replay-sink mlflow"), "ok");
  EXPECT_EQ(positions(), (std::vector<Offset>{5, 7, 9})) << "the process that runs goes on";
  ASSERT_TRUE(begin_anew_if_asked(db_, now_));
  EXPECT_EQ(positions(), (std::vector<Offset>{0, 0, 0}));
  EXPECT_FALSE(feeder_has_one());
  EXPECT_EQ(*others_.load({Stream::traces, 0}), 5) << "another sink's";
  ASSERT_TRUE(positions_.save(places_));
  ASSERT_TRUE(begin_anew_if_asked(db_, now_));
  EXPECT_EQ(positions(), (std::vector<Offset>{5, 7, 9}));
}

TEST_F(ReplayTest, AFeederThatWasAwayForLongerThanItsFirstLookBackGoesOnWhereItWas) {
  ASSERT_TRUE(take_mlflow_server(db_, at("http://a")));
  feeder_is_at(now_ - std::chrono::hours(72));
  EXPECT_EQ(acts_.answer("replay-sink mlflow"), "ok");
  ASSERT_TRUE(begin_anew_if_asked(db_, now_));
  EXPECT_TRUE(feeder_has_one());
}

TEST_F(ReplayTest, NothingBeginsAnewUnasked) {
  ASSERT_TRUE(take_mlflow_server(db_, at("http://a")));
  ASSERT_TRUE(take_mlflow_server(db_, at("http://b")));
  ASSERT_TRUE(begin_anew_if_asked(db_, now_));
  EXPECT_EQ(positions(), (std::vector<Offset>{5, 7, 9}));
  EXPECT_TRUE(feeder_has_one());
}

TEST_F(ReplayTest, WhatHasNotBegunOrIsElsewhereIsRefusedInWords) {
  EXPECT_EQ(acts_.answer("replay-sink mlflow"), "error no sink mlflow has begun yet: there is nothing to replay");
  EXPECT_EQ(acts_.answer("replay-sink store"), "error there is no sink store to replay: mlflow is one");
  ASSERT_TRUE(take_mlflow_server(db_, in_database()));
  EXPECT_NE(acts_.answer("replay-sink mlflow").find("positions in MLflow's database"), std::string::npos);
  ASSERT_TRUE(begin_anew_if_asked(db_, now_));
  EXPECT_TRUE(feeder_has_one());
}

}  // namespace
}  // namespace assay::cli
