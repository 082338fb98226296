#include <gtest/gtest.h>

#include "storage/log/memory_log.hpp"
#include "storage/sinks/store_sink.hpp"
#include "storage/state/memory_key_value.hpp"
#include "storage/view/verify.hpp"
#include "tests/unit/storage/store_records.hpp"

namespace assay {
namespace {

using namespace testing_records;

class VerifyTest : public testing::Test {
 protected:
  void accept(const std::string& id, const std::string& trace_id = "tr-1") {
    FeedbackRecord feedback{.target = {Target::Kind::client_request_id, "req-" + trace_id}, .accepted_at = t0};
    feedback.items.push_back(
        {id, id, R"({"assessment_id":")" + id + R"(","assessment_name":"n","feedback":{"value":1}})"});
    log_.put(to_record(feedback));
    ++resolved_;
  }
  void forward(const std::string& id, const std::string& trace_id = "tr-1") {
    log_.put(feedback(id, trace_id, t0, "n", "true"));
  }
  void commit() {
    auto source = log_.open({{{Stream::assessments, 0}, *sink_.position({Stream::assessments, 0})}});
    const auto records = (*source)->read(100, std::chrono::milliseconds(0));
    ASSERT_TRUE(sink_.apply(*records));
  }
  Verification verified() {
    return *verify({.log = log_, .kv = kv_, .resolved = [this](Partition) { return Result<Offset>(resolved_); }});
  }

  MemoryLog log_;
  MemoryKeyValue kv_;
  SystemClock clock_;
  StoreSink sink_{kv_, clock_};
  Offset resolved_ = 0;
};

TEST_F(VerifyTest, AccountsForEveryFate) {
  for (const auto id : {"a-1", "a-2", "a-1", "a-3", "a-4"}) accept(id);
  forward("a-1");
  Changes parked;
  parked.put(Family::parked, big_endian(std::uint32_t(0)) + "ra-2", "{}");
  ASSERT_TRUE(kv_.write(parked));
  log_.put(to_record(DeadLetter{.record_id = "a-3", .reason = "expired", .raw = "x"}));
  log_.put(dead_letter_tombstone("a-3"));  // purged
  log_.put({.stream = Stream::feedback, .key = "k", .value = "poison"});
  log_.put(to_record(DeadLetter{.record_id = "feedback/0/5", .reason = "malformed", .raw = "x"}));
  resolved_ = 4;
  commit();
  forward("a-9");
  const auto found = verified();
  EXPECT_EQ(found.feedback.at(0),
            (FeedbackCount{.logged = 6, .forwarded = 1, .duplicate = 1, .parked = 1, .dead = 2, .in_flight = 1}));
  EXPECT_EQ(found.assessments.at(0), (AssessmentCount{.logged = 2, .stored = 1, .in_flight = 1}));
  EXPECT_EQ(found.unaccounted(), 0) << to_text(found);
}

TEST_F(VerifyTest, AConflictIsDeadAndNoDuplicate) {
  for (int i = 0; i < 3; ++i) accept("a-1");
  forward("a-1");
  commit();
  log_.put(to_record(DeadLetter{.record_id = conflict_id("a-1", 0, 1 * items_per_record_max),
                                .reason = std::string(dead_reason::idempotency_conflict),
                                .raw = "x"}));
  EXPECT_EQ(verified().feedback.at(0), (FeedbackCount{.logged = 3, .forwarded = 1, .duplicate = 1, .dead = 1}));
}

TEST_F(VerifyTest, AChangeThatTheStoreDidNotTakeIsDeadAndNotStored) {
  accept("a-1");
  forward("a-1");
  const std::string most(assessment_change_bytes_max / 2 + 1, 'x');  // of two of them the second is too much
  const auto rationale = R"("rationale":")" + most + '"', metadata = R"("metadata":{"k":")" + most + "\"}";
  log_.put(update("a-1", "r-1", "tr-1", t0, rationale));
  log_.put(update("a-1", "r-2", "tr-1", at(1), metadata));
  commit();
  const auto found = verified();
  EXPECT_EQ(found.assessments.at(0), (AssessmentCount{.logged = 3, .stored = 2, .dead = 1})) << to_text(found);
  // It stays dead when it is purged.
  Changes purged;
  purged.erase(Family::dead, "assessments/0/2");
  ASSERT_TRUE(kv_.write(purged));
  log_.put(dead_letter_tombstone("assessments/0/2"));
  EXPECT_EQ(verified().assessments.at(0).dead, 1);
}

TEST_F(VerifyTest, SaysWhatTheResolverLost) {
  accept("a-1");
  accept("a-2");
  forward("a-2");
  commit();
  const auto found = verified();
  EXPECT_EQ(found.unaccounted(), 1);
  EXPECT_EQ(found.examples, (std::vector<std::string>{"feedback/0/0 is neither forwarded nor parked nor dead"}));
}

TEST_F(VerifyTest, SaysWhatTheStoreLost) {
  accept("a-1");
  forward("a-1");
  commit();
  Changes lost;
  lost.erase(Family::assessment_ids, "a-1");
  ASSERT_TRUE(kv_.write(lost));
  const auto found = verified();
  EXPECT_EQ(found.assessments.at(0).unaccounted, 1);
  EXPECT_EQ(found.stored_twice, 1);  // a row that the index does not name
  EXPECT_NE(to_text(found).find("create of a-1 is not in the store"), std::string::npos);
  EXPECT_NE(to_json(found).find(R"("unaccounted":2})"), std::string::npos);
}

TEST_F(VerifyTest, SaysWhatWasForwardedTwice) {
  accept("a-1");
  forward("a-1");
  forward("a-1");
  commit();
  EXPECT_EQ(verified().forwarded_too_often, 1);
  EXPECT_EQ(verified().unaccounted(), 1);
}

TEST_F(VerifyTest, ATrimmedLogIsCountedFromWhereItBegins) {
  for (const auto id : {"a-1", "a-2", "a-3"}) {
    accept(id);
    forward(id);
  }
  commit();
  log_.trim({Stream::assessments, 0}, 2);
  log_.trim({Stream::feedback, 0}, 1);
  const auto found = verified();
  EXPECT_EQ(found.unaccounted(), 0) << to_text(found);
  EXPECT_EQ(found.feedback.at(0), (FeedbackCount{.logged = 2, .forwarded = 2}));
}

}  // namespace
}  // namespace assay
