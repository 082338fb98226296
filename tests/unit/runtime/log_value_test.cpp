#include "ops/runtime/log_value.hpp"

#include <gtest/gtest.h>

namespace assay {
namespace {

TEST(LogValue, ItEndsWhereItsQuotesDo) {
  EXPECT_EQ(log_value("down"), R"("down")");
  EXPECT_EQ(log_value(""), R"("")");
  EXPECT_EQ(log_value(R"(server at "127.0.0.1", C:\ failed)"), R"("server at \"127.0.0.1\", C:\\ failed")");
  EXPECT_EQ(log_value("two\nlines\t"), R"("two lines ")");
  EXPECT_EQ(log_value("abcdef", 4), R"("abcd…")");
  EXPECT_EQ(log_value("abcd", 4), R"("abcd")");
  EXPECT_EQ(log_value("abcäf", 4), R"("abc…")");
}

}  // namespace
}  // namespace assay
