#include <gtest/gtest.h>

#include "ingest/feedback/feedback_routes.hpp"
#include "ops/runtime/run_task.hpp"
#include "storage/log/memory_log.hpp"
#include "storage/log/read_all.hpp"
#include "storage/sinks/store_sink.hpp"
#include "storage/state/memory_key_value.hpp"
#include "storage/state/parked_state.hpp"
#include "storage/view/store_view.hpp"
#include "tests/unit/storage/store_records.hpp"

namespace assay {
namespace {

using namespace testing_records;
using namespace std::chrono_literals;

class FixedClock final : public Clock {
 public:
  Instant now() const override { return time; }
  Instant time = t0;
};

// A door that was just started, over what its view holds.
class ChangeFeedbackTest : public testing::Test {
 protected:
  void apply(Record record) {
    const auto read = stored_.add(std::move(record));
    ASSERT_TRUE(sink_.apply({&read, 1}));
  }
  unsigned patch(std::string_view body) {
    std::string padded(body);
    padded.resize(body.size() + 64);
    Request request{.method = http::verb::patch, .path = "/feedback/a-1"};
    request.params[0] = "a-1";
    request.body = std::string_view(padded).substr(0, body.size());
    IoContext context(1);
    return static_cast<unsigned>(run_task(context, patch_feedback(door_, request)).status);
  }
  Instant accepted_last() {
    Instant last{};
    EXPECT_TRUE(read_all(log_, Stream::feedback, [&](std::span<const LogRecord> records) {
      for (const auto& record : records) last = parse_feedback_record(record.value)->accepted_at;
      return Result<void>();
    }));
    return last;
  }

  MemoryKeyValue kv_;
  FixedClock clock_;
  StoreSink sink_{kv_, clock_};
  Log stored_;
  MemoryLog log_;
  StoreView view_{kv_, log_, [](std::chrono::milliseconds) -> Task<Result<void>> { co_return Result<void>(); }};
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
  clock_.time = at(60);
  EXPECT_EQ(patch(R"({"value":3})"), 200u);
  EXPECT_EQ(accepted_last(), at(0) + 2h + 1ms);
  clock_.time = at(0) + 3h;
  EXPECT_EQ(patch(R"({"value":4})"), 200u);
  EXPECT_EQ(accepted_last(), at(0) + 3h);
}

TEST_F(ChangeFeedbackTest, SoIsAChangeOfWhatIsParked) {
  const auto waits = [&](Op op, const std::string& record_id, Instant accepted, std::int64_t order) {
    ParkedRecord parked{.op = op, .target = {Target::Kind::client_request_id, "req-1"}};
    parked.accepted_at = accepted;
    parked.expires_at = accepted + 24h;
    parked.order = order;
    parked.item = {record_id, "a-1", R"({"assessment_id":"a-1","assessment_name":"n"})"};
    Changes changes;
    park(changes, 0, parked);
    ASSERT_TRUE(kv_.write(changes));
  };
  waits(Op::create, "a-1", at(0), 0);
  waits(Op::update, "u-1", at(0) + 2h, 1);
  EXPECT_EQ(patch(R"({"value":3})"), 202u);
  EXPECT_EQ(accepted_last(), at(0) + 2h + 1ms);
}

}  // namespace
}  // namespace assay
