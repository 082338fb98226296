#include "storage/sinks/sink_marks.hpp"

#include <gtest/gtest.h>

#include <set>

#include "storage/state/memory_key_value.hpp"
#include "tests/unit/storage/store_records.hpp"

namespace assay {
namespace {

using namespace testing_records;
using namespace std::chrono_literals;

class SinkMarksTest : public testing::Test {
 protected:
  void take(const Record& record) {
    if (record.stream == Stream::traces)
      ASSERT_TRUE(marks_.take(*parse_trace_record(*record.value)));
    else
      ASSERT_TRUE(marks_.take(*parse_assessment_record(*record.value), 0, offset_++));
  }
  void say_all_of(const std::string& id, Instant accepted) {
    take(trace(id, accepted, located("1", accepted), R"([{"span_id":"s1","secret":1},{"span_id":"s2"}])"));
    take(update("a-" + id, "u-" + id, id, accepted, R"("rationale":"secret")"));
  }
  // The keys on disk, without those that say how far the log was read.
  std::string kept() {
    EXPECT_TRUE(marks_.flush());
    std::string keys;
    EXPECT_TRUE(kv_.scan(Family::meta, "", "", [&](std::string_view key, std::string_view) {
      keys += std::string(key.substr(std::string_view("sink/mlflow/").size())) + " ";
      return true;
    }));
    return keys;
  }

  MemoryKeyValue kv_;
  SinkMarks marks_{kv_, "mlflow"};
  Offset offset_ = 0;
};

TEST_F(SinkMarksTest, OfADeletedTraceOnlyThatIsKept) {
  say_all_of("tr-1", at(0));
  say_all_of("tr-2", at(0));
  (void)kept();
  say_all_of("tr-1", at(1));  // some of it on disk, some pending
  take(erase_trace("tr-1", at(2)));
  say_all_of("tr-1", at(3));
  EXPECT_EQ(kept(), "changed/tr-2/a-tr-2 changes/a-tr-2 ended/tr-1 spans/tr-2/s1 spans/tr-2/s2 trace/tr-2 ");
}

TEST_F(SinkMarksTest, SpansAreShownOneByOneWhatIsPendingOverWhatIsOnDisk) {
  const auto say = [this](int second, const std::string& spans) {
    take(trace("tr-1", at(second), located("1", at(0)), "[" + spans + "]"));
  };
  say(0, R"({"span_id":"s1","n":1},{"span_id":"s2","n":1})");
  (void)kept();
  say(1, R"({"span_id":"s2","n":2},{"span_id":"s3","n":2})");
  const auto shown = [this](std::size_t most) {
    std::multiset<std::string> out;
    EXPECT_TRUE(marks_.each_span("tr-1", [&](const std::string& json) {
      out.insert(json);
      return out.size() < most;
    }));
    return out;
  };
  EXPECT_EQ(shown(9), (std::multiset<std::string>{R"({"span_id":"s1","n":1})", R"({"span_id":"s2","n":2})",
                                                  R"({"span_id":"s3","n":2})"}));
  EXPECT_EQ(shown(1).size(), 1u);
}

TEST_F(SinkMarksTest, OfADeletedAssessmentOnlyThatIsKept) {
  take(update("a-1", "u-1", "tr-1", at(0), R"("rationale":"secret")"));
  take(erase("a-1", "d-1", "tr-1", at(1)));
  take(update("a-1", "u-2", "tr-1", at(2), R"("rationale":"secret")"));
  EXPECT_EQ(kept(), "ended/a-1 ");
}

TEST_F(SinkMarksTest, WhatIsOldGoesALittleAtATimeUnlessItIsInUse) {
  for (int i = 0; i < 10; ++i) say_all_of("tr-" + std::to_string(i), at(i < 8 ? 0 : 100));
  (void)kept();
  const auto in_use = [](const std::string& id) { return id == "tr-3"; };
  ASSERT_TRUE(marks_.prune(at(50), 4, in_use));
  EXPECT_TRUE(marks_.trace("tr-0")->empty());
  EXPECT_FALSE(marks_.trace("tr-4")->empty());
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(marks_.prune(at(50), 4, in_use));
  EXPECT_TRUE(marks_.trace("tr-7")->empty());
  EXPECT_EQ(kept(),
            "changed/tr-3/a-tr-3 changed/tr-8/a-tr-8 changed/tr-9/a-tr-9 changes/a-tr-3 changes/a-tr-8 changes/a-tr-9 "
            "spans/tr-3/s1 spans/tr-3/s2 spans/tr-8/s1 spans/tr-8/s2 spans/tr-9/s1 spans/tr-9/s2 trace/tr-3 trace/tr-8 "
            "trace/tr-9 ");
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(marks_.prune(at(50), 4, [](auto&) { return false; }));
  EXPECT_TRUE(marks_.trace("tr-3")->empty()) << "it begins anew";
}

}  // namespace
}  // namespace assay
