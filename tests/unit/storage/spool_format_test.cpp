#include "storage/log/spool_format.hpp"

#include <gtest/gtest.h>

namespace assay {
namespace {

Record whole() {
  return {.stream = Stream::deadletters,
          .key = std::string("k\0y", 3),
          .value = R"({"v":1})",
          .headers = {{"reason", "expired"}, {"step", ""}},
          .partition = 3,
          .accepted_at = Instant(std::chrono::milliseconds(1'764'000'000'123))};
}

TEST(SpoolFormat, ReadsBackWhatWasWritten) {
  const auto back = decode_spooled(encode_spooled(whole()));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->stream, Stream::deadletters);
  EXPECT_EQ(back->key, whole().key);
  EXPECT_EQ(back->value, whole().value);
  ASSERT_EQ(back->headers.size(), 2u);
  EXPECT_EQ(back->headers[0].name, "reason");
  EXPECT_EQ(back->headers[0].value, "expired");
  EXPECT_EQ(back->headers[1].value, "");
  EXPECT_EQ(back->partition, 3);
  EXPECT_EQ(back->accepted_at, whole().accepted_at);
  EXPECT_EQ(spooled_at(encode_spooled(whole())), whole().accepted_at);
}

TEST(SpoolFormat, ATombstoneIsNotAnEmptyValue) {
  auto record = whole();
  record.value = std::nullopt;
  EXPECT_EQ(decode_spooled(encode_spooled(record))->value, std::nullopt);
  record.value = "";
  EXPECT_EQ(decode_spooled(encode_spooled(record))->value, "");
}

TEST(SpoolFormat, TheBytesAreTheseForEver) {
  const Record record{.stream = Stream::feedback,
                      .key = "k",
                      .value = "v",
                      .headers = {{"h", "w"}},
                      .partition = 2,
                      .accepted_at = Instant(std::chrono::milliseconds(258))};
  const char bytes[] =
      "\1\1\3"
      "\0\0\0\0\0\0\1\2"
      "\0\0\0\2"
      "\0\1"
      "\0\0\0\1h\0\0\0\1w"
      "\0\0\0\1kv";
  EXPECT_EQ(encode_spooled(record), std::string(bytes, sizeof bytes - 1));
}

TEST(SpoolFormat, WhatIsCutOrChangedIsNoRecord) {
  auto no_value = whole();
  no_value.value = std::nullopt;
  const auto bytes = encode_spooled(no_value);
  for (std::size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(decode_spooled(bytes.substr(0, n))) << n;
  EXPECT_FALSE(decode_spooled(bytes + "x"));
  for (const std::size_t at : {0, 1, 2}) {
    auto changed = bytes;
    changed[at] = '\x7f';
    EXPECT_FALSE(decode_spooled(changed)) << at;
  }
}

}  // namespace
}  // namespace assay
