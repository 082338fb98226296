// Replays over the memory log, which looks for repeats as the embedded one does.
#include "ops/cli/dead_letter_acts.hpp"

#include <gtest/gtest.h>

#include "storage/log/memory_log.hpp"
#include "storage/log/read_all.hpp"
#include "storage/state/memory_key_value.hpp"

namespace assay::cli {
namespace {

const Instant t0 = *parse_time("2026-11-23T15:57:31.547Z");

class DeadLetterActsTest : public testing::Test {
 protected:
  // A record of one item that was accepted at t0, logged, and became a dead letter.
  void bury(const std::string& key, FeedbackRecord feedback, std::string_view reason = dead_reason::expired) {
    feedback.target = {Target::Kind::client_request_id, "req-1"};
    feedback.accepted_at = t0;
    log_.put(to_record(feedback));
    const DeadLetter dead{.record_id = key, .reason = std::string(reason), .step = "resolve", .record = feedback};
    Changes changes;
    changes.put(Family::dead, key, *to_record(dead).value);
    ASSERT_TRUE(store_.write(changes));
  }
  static FeedbackRecord create() {
    FeedbackRecord record{.body_hash = 7, .idempotent = true};
    record.items.push_back({"a-1", "a-1", R"({"assessment_id":"a-1","assessment_name":"n"})"});
    return record;
  }
  static FeedbackRecord change() {
    FeedbackRecord record{.op = Op::update, .body_hash = 7, .idempotent = true};
    record.items.push_back({"u-1", "a-1", R"({"assessment_id":"a-1","rationale":"r"})"});
    return record;
  }
  std::vector<FeedbackRecord> logged() {
    std::vector<FeedbackRecord> out;
    EXPECT_TRUE(read_all(log_, Stream::feedback, [&](std::span<const LogRecord> records) {
      for (const auto& record : records) out.push_back(*parse_feedback_record(record.value));
      return Result<void>();
    }));
    return out;
  }
  Offset tombstones() const { return log_.end({Stream::deadletters, 0}); }

  MemoryKeyValue store_;
  MemoryLog log_;
  IoContext io_{1};
  const DeadLetterActs acts_{store_, log_, io_};
};

TEST_F(DeadLetterActsTest, AReplayOfWhatWasSaidWithAKeyIsNoRepeatOfIt) {
  bury("a-1", create());
  ASSERT_TRUE(acts_.replay("a-1"));
  ASSERT_EQ(logged().size(), 2u);
  EXPECT_EQ(logged().back().items.front().record_id, "a-1#1");
  EXPECT_EQ(tombstones(), 1);
}

TEST_F(DeadLetterActsTest, OneLetterReplayedTwiceAtOnceIsOneRecord) {
  bury("a-1", create());
  bury("u-1", change());
  for (const auto* id : {"a-1", "a-1", "u-1", "u-1"}) EXPECT_TRUE(acts_.replay(id)) << id;
  EXPECT_EQ(logged().size(), 4u);
}

TEST_F(DeadLetterActsTest, ManyAreReplayedOrPurgedInOneLineAndWhereOneCanNotBeNoneIsEnded) {
  bury("a-1", create());
  bury("u-1", change());
  bury("a-1@0/4096", create(), dead_reason::idempotency_conflict);
  EXPECT_TRUE(acts_.answer("replay-these a-1\tu-1\ta-1@0/4096").starts_with("error "));
  EXPECT_EQ(logged().size(), 2u);
  EXPECT_TRUE(acts_.answer("purge-these a-1\ta-2").starts_with("error "));
  EXPECT_EQ(tombstones(), 0);
  EXPECT_EQ(acts_.answer("replay-these a-1\tu-1"), "ok");
  const auto all = logged();
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all[2].items.front().record_id, "a-1#1");
  EXPECT_EQ(all[3].items.front().record_id, "u-1#1");
  EXPECT_EQ(tombstones(), 2);
  EXPECT_EQ(acts_.answer("purge-these a-1@0/4096"), "ok");
  EXPECT_EQ(tombstones(), 3);
}

TEST_F(DeadLetterActsTest, WhatWasTakenBackIsNotReplayed) {
  const DeadLetter dead{.record_id = "a-1", .reason = std::string(dead_reason::expired), .step = "resolve"};
  Changes changes;
  changes.put(Family::dead, "a-1", *to_record(dead).value);
  ASSERT_TRUE(store_.write(changes));
  const auto replayed = acts_.replay("a-1");
  ASSERT_FALSE(replayed);
  EXPECT_NE(replayed.error().find("taken back"), std::string::npos) << replayed.error();
  EXPECT_EQ(tombstones(), 0) << "the letter stays";
}

TEST_F(DeadLetterActsTest, AReplayOfAReplayIsTheNextAttempt) {
  bury("u-1#1", replay_of(change(), t0));
  ASSERT_TRUE(acts_.replay("u-1#1"));
  EXPECT_EQ(logged().back().items.front().record_id, "u-1#2");
}

TEST_F(DeadLetterActsTest, AnIdMeansItsOwnLetterOrThatOfItsNewestAttempt) {
  for (const auto* key : {"a-1#2", "a-1#10", "a-1@0/4096", "a-10#11"}) bury(key, create());
  EXPECT_EQ(*letter_meant_by(store_, "a-1"), "a-1#10");
  bury("a-1", create());
  EXPECT_EQ(*letter_meant_by(store_, "a-1"), "a-1");
  EXPECT_EQ(*letter_meant_by(store_, "a-2"), "a-2") << "there is none";
}

TEST_F(DeadLetterActsTest, WhatDiedAgainIsReplayedByTheIdThatTheClientHas) {
  bury("a-1#1", replay_of(create(), t0));
  ASSERT_TRUE(acts_.replay("a-1"));
  EXPECT_EQ(logged().back().items.front().record_id, "a-1#2");
  EXPECT_EQ(tombstones(), 1);
}

TEST_F(DeadLetterActsTest, WhatIsReplayedWasAcceptedWhenItWasSaid) {
  bury("u-1", change());
  ASSERT_TRUE(acts_.replay("u-1"));
  const auto replayed = logged().back();
  EXPECT_EQ(replayed.accepted_at, t0) << "or it would win over what was said since";
  EXPECT_GT(replayed.replayed_at, t0);
  EXPECT_EQ(replayed.logged_at(), replayed.replayed_at) << "or a second replay would stand outside the dedupe window";
}

TEST_F(DeadLetterActsTest, AKeyOfAnotherFeedbackIsNotReplayedIntoIt) {
  bury("a-1@0/4096", create(), dead_reason::idempotency_conflict);
  const auto refused = acts_.replay("a-1@0/4096");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().find("another request's"), std::string::npos) << refused.error();
  EXPECT_EQ(logged().size(), 1u);
  EXPECT_EQ(tombstones(), 0) << "the letter stays";
}

TEST_F(DeadLetterActsTest, OfTwoChangesOfOneKeyTheSecondKeepsItsLetter) {
  bury("u-1", change());
  auto other = change();
  other.body_hash = 8;
  bury("u-1@0/4096", other, dead_reason::idempotency_conflict);
  EXPECT_TRUE(acts_.replay("u-1"));
  EXPECT_FALSE(acts_.replay("u-1@0/4096"));
  EXPECT_EQ(tombstones(), 1);
}

}  // namespace
}  // namespace assay::cli
