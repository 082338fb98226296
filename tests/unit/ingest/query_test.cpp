#include "ingest/http/query.hpp"

#include <gtest/gtest.h>

namespace assay {
namespace {

TEST(Query, DecodesEachKeyOnce) {
  const auto query = Query::parse("trace_id=tr-1&user_id=a%20b+c&flag");
  ASSERT_TRUE(query);
  EXPECT_EQ(query->get("trace_id"), "tr-1");
  EXPECT_EQ(query->get("user_id"), "a b c");
  EXPECT_EQ(query->get("flag"), "");
  EXPECT_FALSE(query->get("other"));
}

TEST(Query, EndsWhereItsViewEnds) {
  const std::string request_line = "trace_id=tr-1 HTTP/1.1\r\n";
  EXPECT_EQ(Query::parse(std::string_view(request_line).substr(0, 13))->get("trace_id"), "tr-1");
}

TEST(Query, RefusesWhatIsGivenTwiceOrMalformed) {
  EXPECT_EQ(Query::parse("a=1&a=2").error().field, "a");
  EXPECT_EQ(Query::parse("a=%4").error().field, "query");
  EXPECT_EQ(Query::parse("a=%ff").error().reason, "it is not UTF-8");
  EXPECT_TRUE(Query::parse(""));
}

}  // namespace
}  // namespace assay
