#include <gtest/gtest.h>

#include <algorithm>

#include "storage/log/memory_log.hpp"
#include "storage/records/assessment_record.hpp"
#include "storage/state/memory_key_value.hpp"
#include "storage/state/remains_state.hpp"
#include "tests/support/hand_clock.hpp"
#include "tests/unit/workers/resolver_records.hpp"
#include "workers/partition_loop.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;

TEST(TakenBack, WhatIsTakenBackWhileItWaitsKeepsItsPlaceAndLosesItsWords) {
  Resolution first(0, {}, policy, t0);
  first.decide(at(0, with_words(create("a-1"))));
  first.decide(at(1, with_words(change("u-1", "a-1"))));
  const auto meta = first.meta();
  const auto before = parked_by(first.finish());

  Resolution step(0, meta, policy, t0 + 1s);
  step.facts().learn_parked("a-1", before.at("a-1"));
  step.facts().learn_waiting(before.at("a-1"));
  step.facts().learn_waiting(before.at("u-1"));
  step.decide(at(2, deletion("d-1", "a-1")));
  step.decide(at(3, with_words(create("a-1"))));
  step.decide(at(4, with_words(change("u-2", "a-1"))));
  EXPECT_EQ(step.meta().ledger, (Ledger{.logged = 5, .duplicate = 1, .dead = 1, .parked = 3})) << "they still wait";
  EXPECT_EQ(step.counts().annulled, 1) << "a change that comes later";
  const auto done = step.finish();
  EXPECT_TRUE(std::ranges::none_of(done.outputs, has_words));
  for (const auto& put : done.state.list()) EXPECT_EQ(put.value.value_or("").find("words"), std::string::npos);
  const auto after = parked_by(done);
  for (const auto* id : {"a-1", "u-1"}) {
    const auto &was = before.at(id), &is = after.at(id);
    EXPECT_TRUE(is.withdrawn) << id;
    EXPECT_EQ(is.order, was.order);
    EXPECT_EQ(is.expires_at, was.expires_at);
    EXPECT_EQ(is.body_hash, was.body_hash);
    EXPECT_EQ(is.idempotent, was.idempotent);
  }
  EXPECT_EQ(letters_ended(done), std::vector<std::string>{"u-2"});
  EXPECT_FALSE(after.at("d-1").withdrawn);
}

TEST(TakenBack, WhatWasTakenBackIsForwardedWithoutWordsJustBeforeItsDeletion) {
  Resolution step(0, {}, policy, t0);
  step.decide(at(0, with_words(create("a-1"))));
  step.decide(at(1, deletion("d-1", "a-1")));
  const auto meta = step.meta();
  const auto parked = parked_by(step.finish());
  Resolution later(0, meta, policy, t0 + 5s);
  later.tell({"req-1", "tr-1"});
  for (const auto* id : {"a-1", "d-1"}) later.release(parked.at(id), "tr-1");
  EXPECT_EQ(later.meta().ledger, (Ledger{.logged = 2, .forwarded = 2}));
  const auto done = later.finish();
  const auto created = parse_assessment_record(*done.outputs[0].value);
  ASSERT_TRUE(created) << created.error().reason;
  EXPECT_EQ(created->op, Op::create);
  EXPECT_FALSE(has_words(done.outputs[0]));
  EXPECT_NE(done.outputs[0].value->find(R"("withdrawn":true)"), std::string::npos) << "for who counts what was said";
  EXPECT_EQ(parse_assessment_record(*done.outputs[2].value)->op, Op::erase);
  EXPECT_EQ(done.outputs[2].value->find("withdrawn"), std::string::npos);
}

TEST(TakenBack, WhatWasTakenBackExpiresBeforeItsDeletionAndLeavesNoLetter) {
  Resolution step(0, {}, policy, t0);
  step.decide(at(0, with_words(create("a-1"))));
  step.decide(at(1, deletion("d-1", "a-1")));
  const auto meta = step.meta();
  const auto first = step.finish();
  const auto parked = parked_by(first);
  EXPECT_LT(parked.at("a-1").expires_at, parked.at("d-1").expires_at);
  Resolution later(0, meta, policy, t0 + 25h);
  later.facts().learn_remains("a-1", remains_after(first, "a-1"));
  later.expire(parked.at("a-1"), t0 + 25h);
  later.expire(parked.at("d-1"), t0 + 25h);
  EXPECT_EQ(later.meta().ledger, (Ledger{.logged = 2, .dead = 2}));
  EXPECT_EQ(later.counts().dead, 0);
  EXPECT_EQ(later.counts().annulled, 2);
  EXPECT_EQ(later.counts().expired, 2);
  EXPECT_EQ(letters_ended(later.finish()), (std::vector<std::string>{"a-1", "d-1"})) << "as one who recounts must know";
}

// A create and a change of it that died: what is left of them.
struct Died {
  Meta meta;
  std::optional<Remains> remains;
};
Died died() {
  Resolution first(0, {}, policy, t0);
  first.decide(at(0, with_words(create("a-1"))));
  first.decide(at(1, with_words(change("u-1", "a-1"))));
  const auto meta = first.meta();
  const auto parked = parked_by(first.finish());
  Resolution late(0, meta, policy, t0 + 25h);
  for (const auto* id : {"a-1", "u-1"}) late.expire(parked.at(id), t0 + 25h);
  const auto after = late.meta();
  return {after, remains_after(late.finish(), "a-1")};
}

TEST(TakenBack, WhatIsTakenBackAfterItDiedHasNoLetterAnyMore) {
  const auto [meta, remains] = died();
  ASSERT_TRUE(remains);
  EXPECT_EQ(remains->letters, (std::vector<std::string>{"a-1", "u-1"}));
  EXPECT_EQ(remains->until, t0 + 25h + policy.letters_max);
  Resolution step(0, meta, policy, t0 + 26h);
  step.facts().learn_remains("a-1", remains);
  step.decide(at(2, deletion("d-1", "a-1")));
  step.decide(at(3, deletion("d-2", "a-1")));
  step.decide(at(4, replay_of(with_words(create("a-1")), t0 + 26h)));  // one that was under way
  EXPECT_EQ(step.counts().annulled, 1);
  EXPECT_EQ(step.meta().ledger, (Ledger{.logged = 5, .dead = 3, .parked = 2}));
  const auto done = step.finish();
  EXPECT_TRUE(std::ranges::none_of(done.outputs, has_words));
  EXPECT_EQ(letters_ended(done), (std::vector<std::string>{"a-1", "u-1", "a-1#1"}));
  EXPECT_TRUE(remains_after(done, "a-1")->taken_back);
}

TEST(TakenBack, WhatDiedAndIsTakenBackByItsTraceIsRememberedAsLongAsAnythingMayWait) {
  const auto [meta, remains] = died();
  Resolution step(0, meta, policy, t0 + 26h);
  step.facts().learn_remains("a-1", remains);
  step.facts().learn_trace("req-1", "tr-1");
  step.decide(at(2, deletion("d-1", "a-1")));
  EXPECT_EQ(step.counts().forwarded, 1);
  const auto done = step.finish();
  EXPECT_EQ(letters_ended(done), (std::vector<std::string>{"a-1", "u-1"}));
  ASSERT_TRUE(remains_after(done, "a-1"));
  EXPECT_TRUE(remains_after(done, "a-1")->taken_back);
  EXPECT_EQ(remains_after(done, "a-1")->until, t0 + 25h + policy.letters_max) << "as what was left of it before";
}

TEST(TakenBack, ADeletionThatComesBeforeItsCreateLeavesNothingOfItEvenAfterItsTime) {
  Resolution first(0, {}, policy, t0);
  first.decide(at(0, deletion("d-1", "a-1")));
  first.decide(at(1, with_words(create("a-1"))));
  EXPECT_EQ(first.meta().ledger, (Ledger{.logged = 2, .dead = 1, .parked = 1}));
  const auto meta = first.meta();
  const auto done = first.finish();
  EXPECT_TRUE(std::ranges::none_of(done.outputs, has_words));
  Resolution late(0, meta, policy, t0 + 25h);
  late.facts().learn_remains("a-1", remains_after(done, "a-1"));
  late.facts().learn_trace("req-1", "tr-1");
  late.expire(parked_by(done).at("d-1"), t0 + 25h);
  late.decide(at(2, with_words(create("a-1", "req-1", 2))));
  EXPECT_EQ(late.counts().annulled, 2);
  EXPECT_EQ(late.counts().forwarded, 0);
  EXPECT_TRUE(std::ranges::none_of(late.finish().outputs, has_words));
}

TEST(TakenBack, WhatDiedAndIsSaidAgainIsForwardedAndItsLetterEnds) {
  const auto [meta, remains] = died();
  Resolution step(0, meta, policy, t0 + 26h);
  step.facts().learn_remains("a-1", remains);
  step.facts().learn_seen("a-1", Seen{0, 1, t0});
  step.facts().learn_trace("req-1", "tr-1");
  step.decide(at(2, with_words(create("a-1"))));
  step.decide(at(3, with_words(create("a-1"))));
  EXPECT_EQ(step.counts().forwarded, 1);
  EXPECT_EQ(step.counts().duplicate, 1);
  const auto done = step.finish();
  EXPECT_EQ(letters_ended(done), std::vector<std::string>{"a-1"});
  EXPECT_EQ(remains_after(done, "a-1")->letters, std::vector<std::string>{"u-1"});
}

// What a step leaves for the embedded log of a create that has a key.
std::optional<Seen> key_after(const Step& step) {
  std::optional<Seen> out;
  for (const auto& put : step.state.list())
    if (put.family == Family::seen && put.key == seen_key(0, "a-1")) out = decode_seen(*put.value);
  return out;
}

TEST(TakenBack, AReplayThatDiedIsSaidAgainAndItsLetterEndsToo) {
  const auto [meta, remains] = died();
  Resolution replay(0, meta, policy, t0 + 26h);
  replay.facts().learn_remains("a-1", remains);
  replay.decide(at(2, replay_of(with_words(create("a-1")), t0 + 26h)));
  const auto waits = replay.meta();
  const auto replayed = replay.finish();
  EXPECT_EQ(letters_ended(replayed), std::vector<std::string>{"a-1"});
  Resolution late(0, waits, policy, t0 + 51h);
  late.facts().learn_remains("a-1", remains_after(replayed, "a-1"));
  late.expire(parked_by(replayed).at("a-1#1"), t0 + 51h);
  const auto dead = late.meta();
  const auto remains_of_replay = remains_after(late.finish(), "a-1");
  EXPECT_EQ(remains_of_replay->letters, (std::vector<std::string>{"u-1", "a-1#1"}));

  Resolution again(0, dead, policy, t0 + 52h);
  again.facts().learn_remains("a-1", remains_of_replay);
  again.facts().learn_seen("a-1", Seen{0, 1, t0 + 52h});
  again.facts().learn_trace("req-1", "tr-1");
  auto said = with_words(create("a-1"));
  said.accepted_at = t0 + 52h;
  for (const Offset offset : {3, 4}) again.decide(at(offset, said));
  EXPECT_EQ(again.counts().forwarded, 1);
  EXPECT_EQ(again.counts().duplicate, 1);
  EXPECT_EQ(letters_ended(again.finish()), std::vector<std::string>{"a-1#1"});
}

TEST(TakenBack, AKeyIsFreeWhileItsCreateIsDeadAndNotWhileAReplayOfItLives) {
  auto embedded = policy;
  embedded.log_repeats = false;
  Resolution first(0, {}, embedded, t0);
  first.decide(at(0, with_words(create("a-1"))));
  auto meta = first.meta();
  auto step = first.finish();
  const auto next = [&](Resolution& resolution, const auto& act) {
    resolution.facts().learn_remains("a-1", remains_after(step, "a-1"));
    act(resolution);
    meta = resolution.meta();
    step = resolution.finish();
  };
  const auto expire = [&](const std::string& id) {
    return [&, id](Resolution& resolution) { resolution.expire(parked_by(step).at(id), t0 + 25h); };
  };
  Resolution died(0, meta, embedded, t0 + 25h);
  next(died, expire("a-1"));
  EXPECT_EQ(key_after(step), (Seen{0, 1, seen_dead}));
  Resolution replayed(0, meta, embedded, t0 + 26h);
  next(replayed, [&](Resolution& resolution) {
    resolution.decide(at(2, replay_of(with_words(create("a-1")), t0 + 26h)));
    resolution.decide(at(3, with_words(create("a-1"))));  // the log let it in before that
  });
  EXPECT_EQ(key_after(step), (Seen{2, 1, t0 + 26h}));
  EXPECT_EQ(meta.ledger, (Ledger{.logged = 3, .duplicate = 1, .dead = 1, .parked = 1}));
  Resolution died_again(0, meta, embedded, t0 + 51h);
  next(died_again, expire("a-1#1"));
  EXPECT_EQ(key_after(step), (Seen{2, 1, seen_dead}));
}

TEST(TakenBack, AKeyUsedAgainHasALetterWhoseWordsAreTakenBackToo) {
  Resolution step(0, {}, policy, t0);
  step.decide(at(0, with_words(create("a-1"))));
  step.decide(at(1, with_words(create("a-1", "req-1", 7))));
  step.decide(at(2, deletion("d-1", "a-1")));
  step.decide(at(3, with_words(create("a-1", "req-1", 8))));
  EXPECT_EQ(letters_ended(step.finish()), (std::vector<std::string>{"a-1@0/4096", "a-1@0/12288"}));
}

TEST(TakenBack, WhatIsLeftIsForgottenInTime) {
  auto [meta, remains] = died();
  Resolution step(0, meta, policy, t0 + 2000h);
  step.facts().learn_remains("a-1", remains);
  step.forget("a-1", t0 + 2000h);
  const auto done = step.finish();
  ASSERT_EQ(done.outputs.size(), 1u);
  EXPECT_EQ(done.outputs[0].key, "remains/a-1");
  EXPECT_FALSE(done.outputs[0].value);
  EXPECT_FALSE(step.left_remains());
}

TEST(TakenBack, WhatIsLeftInTheVeryStepInWhichItWasToBeForgottenIsRemembered) {
  auto [meta, remains] = died();
  const auto now = remains->until + 1h;
  Resolution step(0, meta, policy, now);
  step.facts().learn_remains("a-1", remains);
  step.facts().learn_seen("a-1", Seen{0, 77, now});
  step.decide(at(9, with_words(create("a-1"))));
  step.forget("a-1", now);
  const auto left = remains_after(step.finish(), "a-1");
  ASSERT_TRUE(left);
  EXPECT_EQ(left->letters, (std::vector<std::string>{"a-1", "u-1", "a-1@0/36864"}));
}

TEST(TakenBack, WhatIsTakenBackInTheVeryStepInWhichItExpiresLeavesNoWords) {
  Resolution first(0, {}, policy, t0);
  first.decide(at(0, with_words(create("a-1"))));
  const auto meta = first.meta();
  const auto parked = parked_by(first.finish());
  Resolution step(0, meta, policy, t0 + 25h);
  step.facts().learn_parked("a-1", parked.at("a-1"));
  step.decide(at(1, deletion("d-1", "a-1")));
  step.expire(parked.at("a-1"), t0 + 25h);
  EXPECT_TRUE(std::ranges::none_of(step.finish().outputs, has_words));
}

TEST(TakenBack, AReplayThatWaitsIsTakenBackByItsAssessmentAlthoughItsIdIsAnother) {
  Resolution first(0, {}, policy, t0);
  first.decide(at(0, replay_of(with_words(create("a-1")), t0)));
  const auto meta = first.meta();
  const auto parked = parked_by(first.finish());
  Resolution step(0, meta, policy, t0 + 1s);
  step.facts().learn_waiting(parked.at("a-1#1"));
  step.decide(at(1, deletion("d-1", "a-1")));
  EXPECT_TRUE(parked_by(step.finish()).at("a-1#1").withdrawn);
}

TEST(TakenBack, ADeletionThatIsARepeatOrInConflictTakesNothingBack) {
  Resolution step(0, {}, policy, t0);
  step.facts().learn_seen("d-1", Seen{0, 2, t0});
  step.facts().learn_seen("d-2", Seen{0, 77, t0});
  step.decide(at(1, with_words(create("a-1"))));
  step.decide(at(2, deletion("d-1", "a-1")));
  step.decide(at(3, deletion("d-2", "a-1")));
  EXPECT_FALSE(parked_by(step.finish()).at("a-1").withdrawn);
}

// The deletion names the trace, and went past the change; both times are over when the worker comes to look.
TEST(TakenBack, ADeletionIsRememberedUntilAllThatItWasFasterThanHasExpired) {
  MemoryLog log;
  MemoryKeyValue state;
  HandClock clock;
  Metrics metrics;
  PartitionLoop loop(
      {}, log, state,
      [&] {
        return OpenedPartition{log.committer(state), {}};
      },
      clock, metrics, nullptr);
  const auto drain = [&] {
    while (*loop.run_once(0ms) != PartitionLoop::Ran::idle) continue;
  };
  auto taken_back = deletion("d-1", "a-1", "tr-1");
  taken_back.target.kind = Target::Kind::trace_id;
  log.put(to_record(with_words(change("u-1", "a-1"))));
  drain();  // in a step of its own: in the same one it would be found
  log.put(to_record(taken_back));
  drain();
  clock += 25h;
  log.put(to_record(create("a-2")));
  drain();
  auto letters = log.open({{{Stream::deadletters, 0}, 0}});
  const auto records = (*letters)->read(10, 0ms);
  ASSERT_EQ(records->size(), 1u);
  EXPECT_TRUE(records->front().tombstone);
}

TEST(TakenBack, WhatDiedIsTakenBackByWhoeverHasThePartitionThenAndForgottenInTheEnd) {
  MemoryLog log;
  MemoryKeyValue state;
  HandClock clock;
  Metrics metrics;
  const auto loop = [&] {
    return PartitionLoop(
        {}, log, state,
        [&] {
          return OpenedPartition{log.committer(state), {}};
        },
        clock, metrics, nullptr);
  };
  const auto drain = [](PartitionLoop& it) {
    while (*it.run_once(0ms) != PartitionLoop::Ran::idle) continue;
  };
  const auto end = [&](Stream stream) { return log.end({stream, 0}); };
  const auto say = [&](const std::string& id) {
    auto record = create(id);
    record.accepted_at = clock.now();
    record.idempotent = false;
    log.put(to_record(record));
  };
  const auto take_back = [&](const std::string& record_id, const std::string& id) {
    auto record = deletion(record_id, id);
    record.accepted_at = clock.now();
    log.put(to_record(record));
  };
  auto first = loop();
  say("a-1");
  say("a-2");
  drain(first);
  clock += 25h;
  drain(first);
  EXPECT_EQ(end(Stream::deadletters), 2);
  auto second = loop();
  take_back("d-1", "a-1");
  drain(second);
  EXPECT_EQ(end(Stream::deadletters), 3) << "a tombstone";
  clock += 25h;
  say("a-1");
  drain(second);
  EXPECT_EQ(end(Stream::deadletters), 5) << "its deletion is annulled, and what is said of it afterwards";
  const std::vector<std::string> ids{"a-1", "a-2"};
  EXPECT_TRUE((*find_remains(state, 0, ids))[0]->taken_back);
  EXPECT_EQ((*find_remains(state, 0, ids))[1]->letters, std::vector<std::string>{"a-2"});
  clock += 31 * 24h;
  say("a-3");
  drain(second);
  clock += 25h;
  drain(second);
  for (const auto& one : *find_remains(state, 0, ids)) EXPECT_FALSE(one);
  EXPECT_TRUE(*has_remains(state, 0)) << "a-3's";
  EXPECT_EQ(second.meta().ledger, (Ledger{.logged = 5, .dead = 5}));
}

}  // namespace
}  // namespace assay
