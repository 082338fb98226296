#include "workers/resolver.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "storage/records/assessment_record.hpp"
#include "storage/records/dead_letter_record.hpp"
#include "storage/state/partition_state.hpp"
#include "tests/unit/workers/resolver_records.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;

std::vector<Stream> streams_of(const Step& step) {
  std::vector<Stream> out;
  for (const auto& record : step.outputs) out.push_back(record.stream);
  return out;
}

TEST(Resolver, FeedbackOfAKnownTraceIsForwarded) {
  Resolution step(0, {}, policy, t0);
  step.facts().learn_trace("req-1", "tr-1");
  step.decide(at(0, create("a-1")));
  EXPECT_EQ(step.meta().ledger, (Ledger{.logged = 1, .forwarded = 1}));
  const auto done = step.finish();
  ASSERT_EQ(streams_of(done), std::vector{Stream::assessments});
  EXPECT_EQ(done.outputs[0].key, "tr-1");
  EXPECT_EQ(done.feedback_position, 1);
}

TEST(Resolver, WhereIdsAgeAndTheLogKeepsNoTimeAnIdIsToldWhenItIsRead) {
  const auto kept = [](const ResolvePolicy& p) {
    Resolution step(0, {}, p, t0);
    step.tell({"req-1", "tr-1"});
    return step.finish().state.list().front().value;
  };
  EXPECT_EQ(kept(policy), "tr-1");
  auto ages = policy;
  ages.request_retention = 48h;
  EXPECT_TRUE(index_may_go(kept(ages).value(), t0 + 1ms));
  EXPECT_FALSE(index_may_go(kept(ages).value(), t0));
}

TEST(Resolver, WhereTheLogRepeatsNothingOnlyIdsThatCanComeAgainAreLookedUpAndRemembered) {
  auto embedded = policy;
  embedded.log_repeats = false;
  auto random = create("a-1");
  random.idempotent = false;
  auto replayed = random;
  replayed.attempt = 1;
  replayed.items[0].record_id = "a-1#1";
  const auto remembered = [&](const FeedbackRecord& record, const ResolvePolicy& p) {
    Needs needs;
    add_needs(record, p, needs);
    Resolution step(0, {}, p, t0);
    step.facts().learn_trace("req-1", "tr-1");
    step.decide(at(0, record));
    const auto done = step.finish();
    const auto& list = done.state.list();
    const bool kept = std::any_of(list.begin(), list.end(), [](const auto& c) { return c.family == Family::seen; });
    EXPECT_EQ(kept, !needs.seen.empty());
    return kept;
  };
  EXPECT_FALSE(remembered(random, embedded));
  EXPECT_TRUE(remembered(replayed, embedded));
  EXPECT_TRUE(remembered(create("a-2"), embedded));
  EXPECT_TRUE(remembered(random, policy));
}

TEST(Resolver, FeedbackThatBeatsItsTraceIsParkedAndReleasedWhenItIsTold) {
  Resolution early(0, {}, policy, t0);
  early.decide(at(0, create("a-1")));
  EXPECT_EQ(early.meta().ledger, (Ledger{.logged = 1, .parked = 1}));
  EXPECT_EQ(early.first_expiry(), t0 + 24h);
  const auto meta = early.meta();
  const auto first = early.finish();
  ASSERT_EQ(streams_of(first), std::vector{Stream::parked});
  const auto parked = parse_parked_record(*first.outputs[0].value);
  ASSERT_TRUE(parked);

  Resolution later(0, meta, policy, t0 + 5s);
  later.tell({"req-1", "tr-1"});
  later.release(*parked, "tr-1");
  later.release(*parked, "tr-1");  // told twice in one batch
  EXPECT_EQ(later.meta().ledger, (Ledger{.logged = 1, .forwarded = 1}));
  const auto second = later.finish();
  ASSERT_EQ(streams_of(second), (std::vector{Stream::assessments, Stream::parked}));
  EXPECT_FALSE(second.outputs[1].value) << "the changelog must say that it waits no more";
}

TEST(Resolver, ARepeatInTheSameBatchIsLeftOut) {
  Resolution step(0, {}, policy, t0);
  step.facts().learn_trace("req-1", "tr-1");
  step.decide(at(0, create("a-1")));
  step.decide(at(1, create("a-1")));
  EXPECT_EQ(step.meta().ledger, (Ledger{.logged = 2, .forwarded = 1, .duplicate = 1}));
}

TEST(Resolver, ARepeatOfWhatIsParkedIsLeftOutHoweverOldItIs) {
  Resolution step(0, {}, policy, t0);
  step.decide(at(0, create("a-1")));
  auto late = create("a-1");
  late.accepted_at += 2h;
  step.decide(at(1, late));
  EXPECT_EQ(step.meta().ledger, (Ledger{.logged = 2, .duplicate = 1, .parked = 1}));
}

TEST(Resolver, AnEntryThatTheLogWroteForThisVeryRecordIsNoRepeat) {
  Resolution step(0, {}, policy, t0);
  step.facts().learn_trace("req-1", "tr-1");
  step.facts().learn_seen("a-1", Seen{7, 1, t0});
  step.decide(at(7, create("a-1")));
  EXPECT_EQ(step.counts().forwarded, 1);
}

TEST(Resolver, AnEntryOutsideTheWindowIsForgotten) {
  Resolution step(0, {}, policy, t0);
  step.facts().learn_trace("req-1", "tr-1");
  step.facts().learn_seen("a-1", Seen{7, 1, t0 - 61min});
  step.decide(at(9, create("a-1")));
  EXPECT_EQ(step.counts().forwarded, 1);
}

TEST(Resolver, AKeyUsedAgainWithAnotherBodyIsADeadLetterForAllOfTheRecord) {
  Resolution step(3, {}, policy, t0);
  step.facts().learn_trace("req-1", "tr-1");
  step.decide(at(0, create("a-1", "req-1", 1)));
  auto other = create("a-1", "req-1", 99);
  other.items.push_back({"a-2", "a-2", R"({"assessment_id":"a-2","assessment_name":"n","feedback":{"value":1}})"});
  step.decide(at(1, other));
  EXPECT_EQ(step.counts().conflicts, 2);
  const auto done = step.finish();
  ASSERT_EQ(done.outputs.size(), 5u);  // forwarded, two letters, and of which assessments they are
  const auto letter = parse_dead_letter(*done.outputs[1].value);
  ASSERT_TRUE(letter);
  EXPECT_EQ(letter->reason, dead_reason::idempotency_conflict);
  EXPECT_EQ(done.outputs[1].key, "a-1@3/4096") << "not the key that the first record's own letter would have";
}

TEST(Resolver, PoisonIsADeadLetterWithItsBytesAndTheNextRecordIsDecided) {
  Resolution step(0, {}, policy, t0);
  step.facts().learn_trace("req-1", "tr-1");
  step.decide({0, Malformed{"malformed JSON"}, "\xff{"});
  step.decide(at(1, create("a-1")));
  EXPECT_EQ(step.meta().ledger, (Ledger{.logged = 2, .forwarded = 1, .dead = 1}));
  const auto letter = parse_dead_letter(*step.finish().outputs[0].value);
  ASSERT_TRUE(letter);
  EXPECT_EQ(letter->raw, "\xff{");
  EXPECT_EQ(letter->record_id, "feedback/0/0");
}

TEST(Resolver, AChangeWaitsBehindItsParkedCreateAlthoughItsOwnTargetIsKnown) {
  Resolution step(0, {}, policy, t0);
  step.facts().learn_trace("tr-1", "tr-1");
  step.decide(at(0, create("a-1", "req-1")));
  auto update = change("u-1", "a-1", "tr-1");
  update.target.kind = Target::Kind::trace_id;
  step.decide(at(1, update));
  EXPECT_EQ(step.counts().parked, 2);
  const auto done = step.finish();
  const auto parked = parse_parked_record(*done.outputs[1].value);
  ASSERT_TRUE(parked);
  EXPECT_EQ(parked->waits_for(), "req-1");
}

TEST(Resolver, AChangeOfWhatIsNotParkedGoesByItsOwnTarget) {
  Resolution step(0, {}, policy, t0);
  step.facts().learn_trace("req-1", "tr-1");
  step.decide(at(0, change("u-1", "a-1")));
  EXPECT_EQ(step.counts().forwarded, 1);
}

TEST(Resolver, AChangeThatNamesItsTraceNeedsNobodyToTellOfIt) {
  Resolution step(0, {}, policy, t0);
  auto update = change("u-1", "a-1", "tr-1");
  update.target.kind = Target::Kind::trace_id;
  step.decide(at(0, update));
  EXPECT_EQ(step.meta().ledger, (Ledger{.logged = 1, .forwarded = 1}));
  EXPECT_EQ(step.finish().outputs.at(0).key, "tr-1");
}

TEST(Resolver, AReplayOfWhatIsOlderThanTheWindowIsForwardedOnce) {
  Resolution step(0, {}, policy, t0 + 24h);
  step.facts().learn_trace("req-1", "tr-1");
  auto now = create("a-2");
  now.accepted_at = t0 + 24h;
  step.decide(at(7, now));
  const auto replay = replay_of(create("a-1"), t0 + 24h);
  step.decide(at(8, replay));
  step.decide(at(9, replay));
  EXPECT_EQ(step.meta().ledger, (Ledger{.logged = 3, .forwarded = 2, .duplicate = 1}));
}

TEST(Resolver, AReplayHasARecordIdOfItsOwn) {
  Resolution step(0, {}, policy, t0);
  step.facts().learn_trace("req-1", "tr-1");
  step.facts().learn_seen("a-1", Seen{0, 1, t0});
  auto replay = create("a-1");
  replay.attempt = 1;
  replay.items[0].record_id = "a-1#1";
  step.decide(at(5, replay));
  EXPECT_EQ(step.counts().forwarded, 1);
}

TEST(Resolver, AnExpiredOneIsADeadLetterThatCanBeReplayedAndAReleasedOneDoesNotExpire) {
  Resolution park(0, {}, policy, t0);
  park.decide(at(0, create("a-1")));
  park.decide(at(1, create("a-2")));
  const auto meta = park.meta();
  const auto parked = park.finish();
  const auto one = parse_parked_record(*parked.outputs[0].value), two = parse_parked_record(*parked.outputs[1].value);
  Resolution step(0, meta, policy, t0 + 25h);
  step.release(*two, "tr-1");
  step.expire(*one, t0 + 25h);
  step.expire(*two, t0 + 25h);
  EXPECT_EQ(step.meta().ledger, (Ledger{.logged = 2, .forwarded = 1, .dead = 1}));
  const auto done = step.finish();
  const auto letter = parse_dead_letter(*done.outputs[2].value);
  ASSERT_TRUE(letter);
  EXPECT_EQ(letter->record_id, "a-1");
  EXPECT_EQ(letter->reason, dead_reason::expired);
  EXPECT_EQ(letter->record->target.id, "req-1");
}

TEST(Resolver, ARequestThatNamesNoTraceIsADeadLetterWithItsBytes) {
  Resolution step(3, {}, policy, t0);
  step.malformed({.offset = 7, .raw = "\xff", .reason = "its value is not UTF-8"});
  EXPECT_EQ(step.meta().ledger, Ledger{}) << "nothing was said";
  const auto done = step.finish();
  ASSERT_EQ(streams_of(done), std::vector{Stream::deadletters});
  const auto dead = parse_dead_letter(*done.outputs[0].value);
  ASSERT_TRUE(dead);
  EXPECT_EQ(dead->raw, "\xff");
  EXPECT_EQ(dead->from, (StreamPartition{Stream::requests, 3}));
}

TEST(Resolver, TheLastTraceOfAnIdWinsAndTheChangeOfMindIsCounted) {
  Resolution step(0, {}, policy, t0);
  step.facts().learn_trace("req-1", "tr-1");
  step.tell({"req-1", "tr-1"});
  EXPECT_EQ(step.counts().retold, 0);
  step.tell({"req-1", "tr-2"});
  EXPECT_EQ(step.counts().retold, 1);
  step.decide(at(0, create("a-1")));
  EXPECT_EQ(step.finish().outputs[0].key, "tr-2");
}

TEST(Resolver, ATombstoneOfAnIdForgetsItsTrace) {
  Resolution step(0, {}, policy, t0);
  step.facts().learn_trace("req-1", "tr-1");
  step.tell({"req-1", std::nullopt});
  step.decide(at(0, create("a-1")));
  EXPECT_EQ(step.counts().parked, 1);
}

}  // namespace
}  // namespace assay
