#include "storage/sinks/mlflow_spans.hpp"

#include <gtest/gtest.h>

#include "storage/state/memory_key_value.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t megabyte = 1 << 20;

class MlflowSpansTest : public testing::Test {
 protected:
  void take(const std::string& spans) {
    ASSERT_TRUE(marks_.take(
        TraceRecord{.trace_id = "tr-1", .accepted_at = now_, .info = R"({"trace_id":"tr-1"})", .spans = spans}));
  }
  static std::string span(const std::string& id, std::size_t bytes, const std::string& parent = "up") {
    return R"({"span_id":")" + id + R"(","parent_span_id":")" + parent + R"(","text":")" + std::string(bytes, 'x') +
           "\"}";
  }

  MemoryKeyValue kv_;
  SinkMarks marks_{kv_, "mlflow"};
  Metrics metrics_;
  MlflowSpansLimits limits_;
  Instant now_{1h};
};

TEST_F(MlflowSpansTest, OfATraceWithoutSpansThereIsNoArtifact) {
  const MlflowSpans spans(limits_, marks_, metrics_);
  const auto artifact = spans.read("tr-1");
  ASSERT_TRUE(artifact);
  EXPECT_EQ(artifact->json, "");
}

TEST_F(MlflowSpansTest, TheLastEighthOfTheRoomIsForRoots) {
  limits_.bytes_max = 8'000;
  take("[" + span("s1", 6'000) + "," + span("s2", 1'500) + "," + span("s3", 1'500, "") + "]");
  const MlflowSpans spans(limits_, marks_, metrics_);
  const auto artifact = spans.read("tr-1");
  ASSERT_TRUE(artifact);
  EXPECT_EQ(artifact->said, 2u);
  EXPECT_EQ(artifact->left_out, 1u);
  EXPECT_NE(artifact->json.find("\"s3\""), std::string::npos);
  EXPECT_EQ(artifact->usage.size(), 3u) << "what it used counts all the same";
}

TEST_F(MlflowSpansTest, ALongTraceGathersASecondForEachMegabyteAndNoLongerThanTheMost) {
  limits_.again_max = 10s;
  MlflowSpans spans(limits_, marks_, metrics_);
  spans.was_said("short", {.bytes = megabyte - 1}, now_);
  spans.was_said("long", {.bytes = 3 * megabyte}, now_);
  spans.was_said("longest", {.bytes = 30 * megabyte}, now_);
  EXPECT_EQ(spans.gathers("short", now_), std::nullopt);
  EXPECT_EQ(spans.gathers("long", now_), now_ + 3s);
  EXPECT_EQ(spans.gathers("long", now_ + 3s), std::nullopt);
  EXPECT_EQ(spans.gathers("longest", now_), now_ + 10s);
  EXPECT_EQ(spans.gathers("longest", now_ - 1ms), std::nullopt) << "the clock was set back";
}

}  // namespace
}  // namespace assay
