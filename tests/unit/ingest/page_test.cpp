// In which coding the page's files are served.
#include "ingest/web/page.hpp"

#include <gtest/gtest.h>

namespace assay {
namespace {

constexpr PageFile file{.path = "a.js",
                        .content_type = "text/javascript",
                        .hash = "0",
                        .immutable = true,
                        .plain = "plain",
                        .gzip = "gzip",
                        .brotli = "brotli"};

TEST(Page, TheBestCodingThatTheClientTakes) {
  EXPECT_EQ(choose_coding(file, "gzip, deflate, br"), "br");
  EXPECT_EQ(choose_coding(file, "x-gzip"), "gzip");
  EXPECT_EQ(choose_coding(file, "identity"), "");
  EXPECT_EQ(choose_coding(file, ""), "");
  EXPECT_EQ(choose_coding(file, "*"), "br");
  auto plain = file;
  plain.brotli = {};
  EXPECT_EQ(choose_coding(plain, "*"), "gzip");
}

TEST(Page, ACodingThatIsRefusedByNameIsNoneOfTheOthers) {
  EXPECT_EQ(choose_coding(file, "br;q=0, *"), "gzip");
  EXPECT_EQ(choose_coding(file, "*, br;q=0"), "gzip");
  EXPECT_EQ(choose_coding(file, "gzip;q=0, *"), "br");
  EXPECT_EQ(choose_coding(file, "gzip, *;q=0"), "gzip");
  EXPECT_EQ(choose_coding(file, "br;q=0, gzip;q=0, *"), "");
}

}  // namespace
}  // namespace assay
