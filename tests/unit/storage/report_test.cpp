#include "storage/store/report.hpp"

#include <gtest/gtest.h>

#include "storage/sinks/store_sink.hpp"
#include "storage/state/memory_key_value.hpp"
#include "tests/unit/storage/store_records.hpp"

namespace assay {
namespace {

using namespace testing_records;

TEST(Report, TheRightAnswerIsNoOpinion) {
  MemoryKeyValue kv;
  SystemClock clock;
  StoreSink sink(kv, clock);
  Log log;
  const auto expectation = [](const std::string& id, const std::string& trace, const std::string& name) {
    return create(id, trace, at(1), R"("assessment_name":")" + name + R"(","expectation":{"value":0.5})");
  };
  for (const auto& record :
       {trace("tr-1", t0, located("0", t0)), trace("tr-2", t0, located("0", t0)),
        feedback("a-1", "tr-1", at(1), "user_feedback", "true"), expectation("a-2", "tr-1", "user_feedback"),
        expectation("a-3", "tr-1", "user_tone"), expectation("a-4", "tr-2", "user_feedback")}) {
    const auto stored = log.add(record);
    ASSERT_TRUE(sink.apply({&stored, 1}));
  }
  const auto report = make_report(kv, "0", t0, at(2));
  ASSERT_TRUE(report);
  EXPECT_EQ(report->figures.said.positive, 1);
  EXPECT_EQ(report->figures.said.negative, 0);
  EXPECT_EQ(report->figures.said.left_out, 0);
  EXPECT_EQ(report->figures.traces, 2);
  EXPECT_EQ(report->figures.with_feedback, 1);
}

}  // namespace
}  // namespace assay
