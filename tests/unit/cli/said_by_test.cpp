// What `assay forget` finds of a user in a store, in a worker's state, and on the topics.
#include "ops/cli/said_by.hpp"

#include <gtest/gtest.h>

#include "ops/cli/forget_standing.hpp"
#include "storage/log/memory_log.hpp"
#include "storage/sinks/store_sink.hpp"
#include "storage/state/memory_key_value.hpp"
#include "storage/state/parked_state.hpp"
#include "tests/unit/storage/store_records.hpp"

namespace assay::cli {
namespace {

using namespace testing_records;
using namespace std::chrono_literals;

FeedbackItem said(const std::string& id, const std::string& user) {
  return {id, id,
          R"({"assessment_id":")" + id + R"(","assessment_name":"n","source":{"source_type":"HUMAN","source_id":")" +
              user + R"("}})"};
}
FeedbackItem changed(const std::string& record_id, const std::string& id) {
  return {record_id, id, R"({"assessment_id":")" + id + R"(","rationale":"words"})"};
}
FeedbackRecord of(Op op, FeedbackItem item) {
  FeedbackRecord record{.op = op, .target = {Target::Kind::client_request_id, "req-1"}, .accepted_at = t0};
  record.items.push_back(std::move(item));
  return record;
}

class SaidByTest : public testing::Test {
 protected:
  void bury(FeedbackRecord record) {
    const DeadLetter dead{.record_id = record.items.front().record_id,
                          .reason = std::string(dead_reason::expired),
                          .step = "resolve",
                          .record = record};
    put(Family::dead, dead.record_id, *to_record(dead).value);
  }
  void wait_for_trace(Op op, FeedbackItem item) {
    ParkedRecord parked{.op = op, .target = {Target::Kind::client_request_id, "req-1"}};
    parked.accepted_at = t0;
    parked.expires_at = t0 + 24h;
    parked.item = std::move(item);
    Changes changes;
    park(changes, 0, parked);
    ASSERT_TRUE(kv_.write(changes));
  }
  void put(Family family, const std::string& key, std::string value) {
    Changes changes;
    changes.put(family, key, std::move(value));
    ASSERT_TRUE(kv_.write(changes));
  }
  SaidBy found() {
    auto in_flight = find_in_flight(log_, {{0, resolved_}}, "ana", ids_);
    EXPECT_TRUE(in_flight);
    auto all = find_said_by(kv_, "ana", ids_);
    EXPECT_TRUE(all);
    all->in_flight = std::move(*in_flight);
    all->keep(ids_.assessments);
    return std::move(*all);
  }

  MemoryKeyValue kv_;
  MemoryLog log_;
  Offset resolved_ = 0;
  UsersIds ids_;
};

TEST_F(SaidByTest, AChangeIsOfWhoSaidWhatItChanges) {
  bury(of(Op::create, said("a-1", "ana")));
  bury(of(Op::update, changed("u-1", "a-1")));
  bury(of(Op::create, said("a-2", "bob")));
  bury(of(Op::update, changed("u-2", "a-2")));
  wait_for_trace(Op::update, changed("u-3", "a-1"));
  wait_for_trace(Op::update, changed("u-4", "a-2"));
  log_.put(to_record(of(Op::update, changed("u-5", "a-1"))));
  log_.put(to_record(of(Op::update, changed("u-6", "a-2"))));
  const auto all = found();
  ASSERT_EQ(all.dead_letters.size(), 2u);
  EXPECT_EQ(all.dead_letters.back().record_id, "u-1");
  ASSERT_EQ(all.parked.size(), 1u);
  EXPECT_EQ(all.parked.front().record_id, "u-3");
  ASSERT_EQ(all.in_flight.size(), 1u);
  EXPECT_EQ(all.in_flight.front().record_id, "u-5");
}

TEST_F(SaidByTest, WhatAStoreHoldsForACreateThatDiedIsFound) {
  bury(of(Op::create, said("a-1", "ana")));
  Log log;
  SystemClock clock;
  StoreSink sink(kv_, clock);
  for (const auto* id : {"a-1", "a-2"}) {
    const auto record = log.add(update(id, std::string("u-") + id, "tr-1", t0, R"("rationale":"words")"));
    ASSERT_TRUE(sink.apply({&record, 1}));
  }
  const auto all = found();
  ASSERT_EQ(all.assessments.size(), 1u);
  EXPECT_EQ(all.assessments.front().id, "a-1");
  EXPECT_EQ(all.assessments.front().trace_id, "tr-1");
}

TEST_F(SaidByTest, WhatWasTakenBackWhileItWaitedIsFoundNoMore) {
  log_.put(to_record(of(Op::create, said("a-1", "ana"))));
  resolved_ = 1;
  for (const auto op : {Op::create, Op::update}) {
    ParkedRecord parked{.op = op, .target = {Target::Kind::client_request_id, "req-1"}};
    parked.accepted_at = t0;
    parked.expires_at = t0 + 24h;
    parked.item = op == Op::create ? said("a-1", "ana") : changed("u-1", "a-1");
    withdraw(parked);
    Changes changes;
    park(changes, 0, parked);
    ASSERT_TRUE(kv_.write(changes));
  }
  EXPECT_TRUE(found().parked.empty());
}

TEST_F(SaidByTest, TheDeletionOfAChangeGoesToTheIdThatItWaitsFor) {
  log_.put(to_record(of(Op::create, said("a-1", "ana"))));
  resolved_ = 1;
  ParkedRecord parked{.op = Op::update, .target = {Target::Kind::trace_id, "tr-1"}, .behind = "req-1"};
  parked.accepted_at = t0;
  parked.expires_at = t0 + 24h;
  parked.item = changed("u-1", "a-1");
  Changes changes;
  park(changes, 0, parked);
  ASSERT_TRUE(kv_.write(changes));
  const auto all = found();
  ASSERT_EQ(all.parked.size(), 1u);
  EXPECT_EQ(all.parked.front().id, "req-1");
  EXPECT_FALSE(all.parked.front().by_trace_id);
}

TEST_F(SaidByTest, AChangeWhoseCreateIsGoneIsKnownByTheLog) {
  log_.put(to_record(of(Op::create, said("a-1", "ana"))));
  resolved_ = 1;
  bury(of(Op::update, changed("u-1", "a-1")));
  const auto all = found();
  EXPECT_EQ(all.dead_letters.size(), 1u);
  EXPECT_TRUE(all.in_flight.empty());
}

TEST(Standing, WhatComesBehindADeletionStandsNoMore) {
  const std::string ana = "ana";
  UsersIds ids;
  Standing standing(ana, ids);
  Log log;
  const auto asked = R"("trace_metadata":{"mlflow.trace.user":"ana"})";
  for (const auto& record : {erase_trace("tr-1", t0), trace("tr-1", at(1), asked), trace("tr-2", at(1), asked)})
    standing.add_trace(log.add(record));
  const Target target{Target::Kind::trace_id, "tr-3"};
  for (const auto& record : {forward({"d-1", "a-1", R"({"assessment_id":"a-1"})"}, Op::erase, target, t0, "tr-3"),
                             forward(said("a-1", "ana"), Op::create, target, at(1), "tr-3"),
                             forward(changed("u-1", "a-1"), Op::update, target, at(1), "tr-3"),
                             forward(said("a-2", "ana"), Op::create, target, at(1), "tr-3"),
                             forward(said("a-3", "bob"), Op::create, target, at(1), "tr-3"),
                             forward(changed("u-3", "a-3"), Op::update, target, at(1), "tr-3")})
    standing.add_assessment(log.add(record));
  auto all = std::move(standing).said();
  all.keep(ids.assessments);
  EXPECT_EQ(all.traces, std::vector<std::string>{"tr-2"});
  EXPECT_TRUE(ids.traces.contains("tr-1")) << "what was made of it is looked for";
  ASSERT_EQ(all.assessments.size(), 1u);
  EXPECT_EQ(all.assessments.front().id, "a-2");
}

}  // namespace
}  // namespace assay::cli
