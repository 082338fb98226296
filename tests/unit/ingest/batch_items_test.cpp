#include "ingest/feedback/batch_items.hpp"

#include <gtest/gtest.h>

namespace assay {
namespace {

const Instant now = *parse_time("2026-11-28T18:00:00Z");

TEST(BatchItems, OneObjectOverSeveralLinesIsSaidOnce) {
  for (const std::string body :
       {"{\n  \"trace_id\": \"t\",\n  \"value\": 1\n}\n", " {\r\n\"trace_id\": \"t\",\r\n\"value\": 1}"}) {
    const auto items = read_batch(body, "", now, 10);
    ASSERT_FALSE(items) << body;
    EXPECT_EQ(items.error().status, 400u);
    EXPECT_EQ(items.error().reason, "NDJSON has one object a line: this is one over several");
  }
}

TEST(BatchItems, ALineThatIsNoJsonHarmsNoOther) {
  const std::string good = R"({"trace_id":"t","is_correct":true})";
  const auto items = read_batch("{\"value\": \n" + good + "\n" + good + "\r\n", "", now, 10);
  ASSERT_TRUE(items);
  ASSERT_EQ(items->size(), 3u);
  EXPECT_TRUE((*items)[0].rejection);
  EXPECT_FALSE((*items)[1].rejection || (*items)[2].rejection);
  EXPECT_TRUE(read_batch(good + "\n", "", now, 10));
  EXPECT_TRUE(read_batch(good, "", now, 10));
}

}  // namespace
}  // namespace assay
