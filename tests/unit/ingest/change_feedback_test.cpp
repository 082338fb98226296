#include <gtest/gtest.h>

#include "ingest/feedback/feedback_routes.hpp"
#include "ops/runtime/run_task.hpp"
#include "storage/log/memory_log.hpp"
#include "storage/log/read_all.hpp"
#include "storage/sinks/store_sink.hpp"
#include "storage/state/memory_key_value.hpp"
#include "storage/state/parked_state.hpp"
#include "storage/state/partition_state.hpp"
#include "storage/view/store_view.hpp"
#include "tests/support/hand_clock.hpp"
#include "tests/unit/storage/store_records.hpp"

namespace assay {
namespace {

using namespace testing_records;
using namespace std::chrono_literals;

// A door that was just started, over what its view holds.
class ChangeFeedbackTest : public testing::Test {
 protected:
  void apply(Record record) {
    const auto read = stored_.add(std::move(record));
    ASSERT_TRUE(sink_.apply({&read, 1}));
  }
  unsigned patch(std::string_view body, std::string_view key = {}) {
    std::string padded(body);
    padded.resize(body.size() + 64);
    return change(http::verb::patch, std::string_view(padded).substr(0, body.size()), key);
  }
  unsigned take_back(std::string_view key = {}) { return change(http::verb::delete_, {}, key); }
  unsigned change(http::verb method, std::string_view body, std::string_view key) {
    const HeaderField header{"Idempotency-Key", key};
    Request request{.method = method, .path = "/feedback/a-1"};
    request.params[0] = "a-1";
    request.body = body;
    if (!key.empty()) request.headers = {&header, 1};
    IoContext context(1);
    auto answer = method == http::verb::patch ? patch_feedback(door_, request) : delete_feedback(door_, request);
    return static_cast<unsigned>(run_task(context, std::move(answer)).status);
  }
  std::vector<FeedbackRecord> logged() {
    std::vector<FeedbackRecord> all;
    EXPECT_TRUE(read_all(log_, Stream::feedback, [&](std::span<const LogRecord> records) {
      for (const auto& record : records) all.push_back(*parse_feedback_record(record.value));
      return Result<void>();
    }));
    return all;
  }
  Instant accepted_last() { return logged().back().accepted_at; }
  void wait_for_trace(Op op, const std::string& record_id, Instant accepted, std::int64_t order,
                      const std::string& json = R"({"assessment_id":"a-1","assessment_name":"n"})") {
    ParkedRecord parked{.op = op, .target = {Target::Kind::client_request_id, "req-tr-1"}};
    parked.accepted_at = accepted;
    parked.expires_at = accepted + 24h;
    parked.order = order;
    parked.item = {record_id, "a-1", json};
    Changes changes;
    park(changes, 0, parked);
    ASSERT_TRUE(kv_.write(changes));
  }
  void names(const std::string& id, const std::string& trace_id) {
    Changes changes;
    put_trace(changes, 0, id, trace_id, t0);
    ASSERT_TRUE(kv_.write(changes));
  }

  MemoryKeyValue kv_;
  HandClock clock_{t0};
  StoreSink sink_{kv_, clock_};
  Log stored_;
  MemoryLog log_;
  std::function<Result<void>(int)> on_applied_ = [](int) { return Result<void>(); };  // with the number of waits so far
  int waits_ = 0;
  StoreView view_{kv_, log_,
                  [this](std::chrono::milliseconds) -> Task<Result<void>> { co_return on_applied_(++waits_); }};
  RecentTraces recent_;
  Metrics metrics_;
  FeedbackDoor door_{.config = {.view_is_complete = true},
                     .log = log_,
                     .view = &view_,
                     .recent = recent_,
                     .clock = clock_,
                     .metrics = FeedbackMetrics(metrics_)};
};

TEST_F(ChangeFeedbackTest, AChangeIsLaterThanWhatStandsThoughTheClockWasSetBack) {
  apply(feedback("a-1", "tr-1", at(0), "n", "1"));
  apply(update("a-1", "u-1", "tr-1", at(0) + 2h, R"("feedback":{"value":2})"));
  clock_.set(at(60));
  EXPECT_EQ(patch(R"({"value":3})"), 200u);
  EXPECT_EQ(accepted_last(), at(0) + 2h + 1ms);
  clock_.set(at(0) + 3h);
  EXPECT_EQ(patch(R"({"value":4})"), 200u);
  EXPECT_EQ(accepted_last(), at(0) + 3h);
}

TEST_F(ChangeFeedbackTest, SoIsAChangeOfWhatIsParked) {
  wait_for_trace(Op::create, "a-1", at(0), 0);
  wait_for_trace(Op::update, "u-1", at(0) + 2h, 1);
  EXPECT_EQ(patch(R"({"value":3})"), 202u);
  EXPECT_EQ(accepted_last(), at(0) + 2h + 1ms);
}

TEST_F(ChangeFeedbackTest, AChangeThatIsSaidAgainAfterItsTraceCameIsARepeat) {
  wait_for_trace(Op::create, "a-1", at(0), 0);
  EXPECT_EQ(patch(R"({"value":3})", "k"), 202u);
  apply(feedback("a-1", "tr-1", at(0), "n", "1"));
  names("req-tr-1", "tr-1");
  EXPECT_EQ(patch(R"({"value":3})", "k"), 200u);
  EXPECT_EQ(logged().size(), 1u);
  EXPECT_EQ(patch(R"({"value":4})", "k"), 422u) << "another body";
  EXPECT_EQ(patch(R"({"value":4})", "l"), 200u);
  EXPECT_EQ(logged().back().target, logged().front().target) << "or a repeat would be in another partition";
  EXPECT_EQ(patch(R"({"value":5})"), 200u);
  EXPECT_EQ(logged().back().target, (Target{Target::Kind::trace_id, "tr-1"})) << "what has no key is said once";
}

TEST_F(ChangeFeedbackTest, AnIdThatNamesAnotherTraceByNowIsNotWhereAChangeGoes) {
  apply(feedback("a-1", "tr-1", at(0), "n", "1"));
  names("req-tr-1", "tr-2");
  EXPECT_EQ(patch(R"({"value":3})", "k"), 200u);
  EXPECT_EQ(logged().back().target, (Target{Target::Kind::trace_id, "tr-1"}));
}

TEST_F(ChangeFeedbackTest, WhatIsReleasedWhileTheDoorLooksIsKnown) {
  on_applied_ = [this](int wait) {
    if (wait == 2) apply(feedback("a-1", "tr-1", at(0), "n", "1"));  // it was parked no more, and in no store yet
    return Result<void>();
  };
  EXPECT_EQ(take_back(), 202u) << "the deletion is in no store here";
  EXPECT_EQ(logged().size(), 1u);
}

TEST_F(ChangeFeedbackTest, WhatTheDoorHasAcceptedCanBeChangedThoughItsViewIsBehind) {
  on_applied_ = [](int) { return Result<void>(make_error_code(Error::timed_out)); };
  EXPECT_EQ(take_back(), 503u) << "another door may have accepted it";
  FeedbackRecord said{.target = {Target::Kind::client_request_id, "req-tr-1"}, .accepted_at = at(0)};
  said.items.push_back({"a-1", "a-1", R"({"assessment_id":"a-1"})"});
  door_.accepted.add(said);
  EXPECT_EQ(take_back(), 202u);
  ASSERT_EQ(logged().size(), 1u);
  EXPECT_EQ(logged().front().target, said.target);
}

TEST_F(ChangeFeedbackTest, WhatNobodySaidIsUnknown) {
  EXPECT_EQ(take_back(), 404u);
  EXPECT_EQ(patch(R"({"value":3})"), 404u);
  EXPECT_TRUE(logged().empty());
}

TEST_F(ChangeFeedbackTest, WhatWasTakenBackWhileItWaitedIsDeletedWhateverBecomesOfItsTrace) {
  ParkedRecord parked{.target = {Target::Kind::client_request_id, "req-tr-1"}};
  parked.accepted_at = at(0);
  parked.expires_at = at(0) + 24h;
  parked.item = {"a-1", "a-1", R"({"assessment_id":"a-1","assessment_name":"n"})"};
  withdraw(parked);
  Changes waits;
  park(waits, 0, parked);
  ASSERT_TRUE(kv_.write(waits));
  const auto is_deleted = [&] {
    const auto receipt = view_.receipt("a-1");
    EXPECT_TRUE(receipt && *receipt);
    EXPECT_EQ((*receipt)->state, Receipt::State::deleted);
    EXPECT_EQ(take_back(), 200u);
    EXPECT_EQ(patch(R"({"value":3})"), 404u);
    EXPECT_TRUE(logged().empty());
  };
  is_deleted();

  Changes expires;
  unpark(expires, 0, parked);
  const DeadLetter dead{.record_id = "a-1", .reason = std::string(dead_reason::expired), .step = "resolve"};
  expires.put(Family::dead, "a-1", *to_record(dead).value);
  ASSERT_TRUE(kv_.write(expires));
  is_deleted();
}

TEST_F(ChangeFeedbackTest, WhatWasTakenBackIsNotTakenBackOnceMore) {
  apply(feedback("a-1", "tr-1", at(0), "n", "1"));
  EXPECT_EQ(take_back("k"), 202u) << "this view has not followed";
  apply(erase("a-1", "u-1", "tr-1", at(1)));
  EXPECT_EQ(take_back("k"), 200u);
  EXPECT_EQ(take_back(), 200u);
  EXPECT_EQ(logged().size(), 1u);
}

std::string metadata(int from, int count, const std::string& value = "x") {
  std::string entries;
  for (int i = from; i < from + count; ++i)
    entries += (entries.empty() ? "\"" : ",\"") + std::to_string(i) + R"(":")" + value + "\"";
  return R"({"metadata":{)" + entries + "}}";
}

TEST_F(ChangeFeedbackTest, MetadataThatChangesHaveMergedHasTheBoundsOfOneBody) {
  apply(feedback("a-1", "tr-1", at(0), "n", "1"));
  const auto store_last = [&] {
    const auto change = logged().back();
    apply(forward(change.items.front(), Op::update, change.target, change.accepted_at, "tr-1"));
  };
  EXPECT_EQ(patch(metadata(0, 64)), 200u);
  store_last();
  EXPECT_EQ(patch(metadata(64, 1)), 422u);
  EXPECT_EQ(patch(metadata(63, 1, "y")), 200u) << "it has no more entries than before";
  store_last();
  const std::string large(15'000, 'x');
  EXPECT_EQ(patch(metadata(0, 4, large)), 200u);
  store_last();
  EXPECT_EQ(patch(metadata(4, 1, large)), 422u);
  EXPECT_EQ(patch(metadata(0, 4, "x")), 200u);
  EXPECT_EQ(patch(R"({"value":3})"), 200u);
}

TEST_F(ChangeFeedbackTest, TheSameBoundsHoldForWhatWaitsForItsTrace) {
  wait_for_trace(Op::create, "a-1", at(0), 0,
                 R"({"assessment_id":"a-1","assessment_name":"n","feedback":{"value":1},"metadata":{"0":"x"}})");
  EXPECT_EQ(patch(metadata(1, 64)), 422u);
  EXPECT_EQ(patch(metadata(1, 63)), 202u);
  wait_for_trace(Op::update, "u-1", at(1), 1, logged().back().items.front().json);
  EXPECT_EQ(patch(metadata(64, 1)), 422u);
  EXPECT_EQ(patch(metadata(63, 1, "y")), 202u) << "it has no more entries than before";
  EXPECT_EQ(patch(R"({"value":3})"), 202u);
}

}  // namespace
}  // namespace assay
