#include "ingest/access/secret.hpp"

#include <gtest/gtest.h>

#include "ingest/access/api_keys.hpp"

namespace assay {
namespace {

std::string hex(const Digest& digest) {
  std::string out;
  for (const auto byte : digest) {
    char text[3];
    std::snprintf(text, sizeof text, "%02x", byte);
    out += text;
  }
  return out;
}

// RFC 4231, cases 1, 2 and 6.
TEST(Secret, HmacIsTheOneOfTheStandard) {
  EXPECT_EQ(hex(Hmac(std::string(20, '\x0b')).of("Hi There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(hex(Hmac("Jefe").of("what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(hex(Hmac(std::string(131, '\xaa')).of("Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(Secret, Base64UrlReadsBackAndHasOneWayToWriteEach) {
  for (std::size_t size = 0; size < 70; ++size) {
    const auto bytes = random_secret(size);
    std::string text;
    append_base64url(text, bytes);
    EXPECT_EQ(base64url_decoded(text), bytes);
  }
  EXPECT_FALSE(base64url_decoded("a"));
  EXPECT_FALSE(base64url_decoded("ab="));
  EXPECT_FALSE(base64url_decoded("a+"));
  EXPECT_FALSE(base64url_decoded("AB"));  // bits left over
  EXPECT_EQ(base64_decoded("dXNlcjpwYXNz"), "user:pass");
  EXPECT_EQ(base64_decoded("dQ=="), "u");
}

TEST(ApiKeys, AreFoundByTheirTextAndKeptAsHashes) {
  ApiKeys keys;
  ScopeSet read;
  read.add(Scope::read);
  const auto one = keys.create("one", read, {}, Instant());
  const auto two = keys.create("two", ScopeSet::all(), {5, 10}, Instant());
  const auto file = keys.to_json();
  EXPECT_EQ(file.find(one.substr(one.size() - 20)), std::string::npos) << "the secret is in the file";
  auto again = ApiKeys::parse(file);
  ASSERT_TRUE(again) << again.error();
  EXPECT_EQ(again->to_json(), file);
  ASSERT_TRUE(again->find(one));
  EXPECT_EQ(again->find(one)->scopes, read);
  EXPECT_EQ(again->find(two)->rate, (Rate{5, 10}));

  auto wrong = one;
  wrong.back() = wrong.back() == 'A' ? 'B' : 'A';
  EXPECT_FALSE(again->find(wrong));
  EXPECT_FALSE(again->find(one.substr(0, one.size() - 1)));
  EXPECT_FALSE(again->find(one + "A"));
  EXPECT_FALSE(again->find(two.substr(0, 18) + one.substr(18)));  // the one's id with the other's secret
  EXPECT_FALSE(again->find(""));
  EXPECT_FALSE(again->find("assay_"));

  EXPECT_EQ(again->revoke("nobody"), 0u);
  EXPECT_EQ(again->revoke("one"), 1u);
  EXPECT_FALSE(again->find(one));
  EXPECT_TRUE(again->find(two));
}

TEST(ApiKeys, AFileThatIsNoneIsRefusedInWords) {
  for (const auto* text : {"", "[]", "{}", R"({"v":2,"keys":[]})", R"({"v":1,"keys":[{"id":"x"}]})",
                           R"({"v":1,"keys":[{"id":"x","name":"n","sha256":"00","scopes":[],"created_at":"x"}]})"}) {
    const auto keys = ApiKeys::parse(text);
    ASSERT_FALSE(keys) << text;
    EXPECT_FALSE(keys.error().empty());
  }
}

}  // namespace
}  // namespace assay
