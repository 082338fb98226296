#include "ingest/access/capability.hpp"

#include <gtest/gtest.h>

namespace assay {
namespace {

using namespace std::chrono_literals;

const Instant now = *parse_time("2026-11-23T15:57:31Z");
const Capability ours{.trace_id = "tr-1",
                      .client_request_id = "req-1",
                      .user = "ana",
                      .names = {"user_*", "mood"},
                      .expires_at = now + 1h};

TEST(Capability, SaysWhatWasSigned) {
  const auto keys = CapabilityKeys::create(now);
  const auto checked = keys.check(keys.mint(ours), now);
  ASSERT_TRUE(checked) << checked.error();
  EXPECT_EQ(*checked, ours);
  EXPECT_TRUE(checked->allows("user_feedback"));
  EXPECT_TRUE(checked->allows("mood"));
  EXPECT_FALSE(checked->allows("moods"));
  EXPECT_FALSE(checked->allows("User_feedback"));
}

TEST(Capability, AnyOtherBitIsRefused) {
  const auto keys = CapabilityKeys::create(now);
  const auto token = keys.mint(ours);
  for (std::size_t i = 0; i < token.size(); ++i)
    for (const char c : {'A', 'z', '_', '!'}) {
      auto forged = token;
      forged[i] = c;
      if (forged == token) continue;
      EXPECT_FALSE(keys.check(forged, now)) << "at " << i;
    }
  for (std::size_t size = 0; size < token.size(); ++size) EXPECT_FALSE(keys.check(token.substr(0, size), now));
  EXPECT_FALSE(keys.check(token + "A", now));
  EXPECT_FALSE(keys.check(token + std::string(4096, 'A'), now));
}

TEST(Capability, EndsAtItsTime) {
  const auto keys = CapabilityKeys::create(now);
  const auto token = keys.mint(ours);
  EXPECT_TRUE(keys.check(token, ours.expires_at - 1s));
  const auto late = keys.check(token, ours.expires_at);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error(), "it has expired");
}

TEST(Capability, OtherKeysSignNothingHere) {
  EXPECT_FALSE(CapabilityKeys::create(now).check(CapabilityKeys::create(now).mint(ours), now));
}

TEST(Capability, KeysRotateAndTheOldestIsForgotten) {
  auto keys = CapabilityKeys::create(now);
  const auto first = keys.mint(ours);
  keys.rotate(1, now);
  EXPECT_EQ(keys.newest(), 2u);
  const auto second = keys.mint(ours);
  EXPECT_NE(first, second);
  EXPECT_TRUE(keys.check(first, now));
  EXPECT_TRUE(keys.check(second, now));
  keys.rotate(1, now);
  const auto replayed = keys.check(first, now);
  ASSERT_FALSE(replayed);
  EXPECT_EQ(replayed.error(), "it was signed with a key that is no longer known");
  EXPECT_TRUE(keys.check(second, now));
  auto again = CapabilityKeys::parse(keys.to_json());
  ASSERT_TRUE(again) << again.error();
  EXPECT_EQ(again->to_json(), keys.to_json());
  EXPECT_TRUE(again->check(second, now));
}

TEST(Capability, IdsOfItsOwnAreKnownWithoutALookUpAndStayOverARotation) {
  auto keys = CapabilityKeys::create(now);
  const std::string some = "0123456789abcdef0123456789abcdef";
  const auto id = "a-" + keys.own_id(ours, some);
  keys.rotate(0, now);
  EXPECT_EQ("a-" + keys.own_id(ours, some), id);
  EXPECT_TRUE(keys.owns(ours, id));
  auto other = ours;
  other.user = "bob";
  EXPECT_FALSE(keys.owns(other, id));
  other = ours;
  other.trace_id = "tr-2";
  EXPECT_FALSE(keys.owns(other, id));
  EXPECT_FALSE(keys.owns(ours, "a-" + some));
  EXPECT_FALSE(keys.owns(ours, "a-"));
  EXPECT_FALSE(keys.owns(ours, ""));
}

// The bytes of version 1. What was given away must be understood tomorrow.
TEST(Capability, FormatIsTheGoldenOne) {
  const auto keys = CapabilityKeys::parse(
      R"({"v":1,"binding":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","keys":[{"number":7,"secret":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE","created_at":"2026-01-01T00:00:00Z"}]})");
  ASSERT_TRUE(keys) << keys.error();
  EXPECT_EQ(keys->mint(ours),
            "acap_AQAAAAcAAAAAawRwewR0ci0xBXJlcS0xA2FuYQIGdXNlcl8qBG1vb2T6X6otUZgYd3iSKev8as3jlDb-1hk5jENks7ViN_mZbg");
  EXPECT_EQ(keys->own_id(ours, "0123456789abcdef0123456789abcdef"), "0123456789abcdef709b04cb877aee54");
}

}  // namespace
}  // namespace assay
