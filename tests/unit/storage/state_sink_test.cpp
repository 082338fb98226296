#include "storage/sinks/state_sink.hpp"

#include <gtest/gtest.h>

#include "storage/log/memory_log.hpp"
#include "storage/records/parked_record.hpp"
#include "storage/records/request_record.hpp"
#include "storage/state/memory_key_value.hpp"
#include "storage/state/parked_state.hpp"
#include "storage/state/partition_state.hpp"
#include "storage/view/store_view.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;

const Instant told{std::chrono::milliseconds(1'700'000'000'000)};

// What a Kafka source brings, which knows when each record was taken.
class Followed {
 public:
  Result<void> requests(const std::vector<Record>& records, Instant at) {
    std::vector<LogRecord> read;
    for (const auto& record : records)
      read.push_back({Stream::requests, 0, next_++, record.key, *record.value, false, at});
    return sink_.apply(read);
  }
  Result<void> parked(const std::string& key, const std::string& value) {
    const std::vector<LogRecord> read{{Stream::parked, 0, next_++, key, value, value.empty(), told}};
    return sink_.apply(read);
  }

  MemoryKeyValue kv_;
  StateSink sink_{kv_};
  MemoryLog log_;
  StoreView view_{kv_, log_, [](std::chrono::milliseconds) -> Task<Result<void>> { co_return Result<void>(); }};

 private:
  Offset next_ = 0;
};

TEST(StateSink, AnIdThatTheWorkersHaveForgottenIsForgottenByTheViewToo) {
  Followed followed;
  ASSERT_TRUE(followed.requests(request_records("tr-1", "req-1", told), told));
  Instant now = told;
  followed.view_.forget_told_before([&now] { return now - 24h; });
  for (const auto& id : {"tr-1", "req-1"}) {
    now = told + 24h;
    EXPECT_EQ(**followed.view_.trace_of(id), "tr-1");
    now += 1ms;
    EXPECT_FALSE(*followed.view_.trace_of(id)) << id;
  }
  ASSERT_TRUE(followed.requests(request_records("tr-1", "req-1", now), now));
  EXPECT_EQ(**followed.view_.trace_of("req-1"), "tr-1") << "told again";
}

TEST(StateSink, AViewThatIsToldNothingElseForgetsNothing) {
  Followed followed;
  ASSERT_TRUE(followed.requests(request_records("tr-1", "", told), told));
  EXPECT_EQ(**followed.view_.trace_of("tr-1"), "tr-1");
}

}  // namespace
}  // namespace assay
