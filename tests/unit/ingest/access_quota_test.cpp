#include <gtest/gtest.h>

#include "ingest/access/client_address.hpp"
#include "ingest/access/token_buckets.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;
using boost::asio::ip::make_address;

const auto start = std::chrono::steady_clock::now();

TEST(TokenBuckets, TakeTheirBurstAndThenTheirRate) {
  TokenBuckets buckets(64);
  const Rate rate{2, 5};
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(buckets.take("ana", rate, start).allowed);
  const auto none = buckets.take("ana", rate, start);
  EXPECT_FALSE(none.allowed);
  EXPECT_EQ(none.remaining, 0u);
  EXPECT_EQ(none.wait, 500ms);
  EXPECT_TRUE(buckets.take("bob", rate, start).allowed);
  EXPECT_FALSE(buckets.take("ana", rate, start + 400ms).allowed);
  EXPECT_TRUE(buckets.take("ana", rate, start + 500ms).allowed);
  EXPECT_FALSE(buckets.take("ana", rate, start + 500ms).allowed);
  const auto rested = buckets.take("ana", rate, start + 1h);
  EXPECT_TRUE(rested.allowed);
  EXPECT_EQ(rested.remaining, 4u);
  EXPECT_TRUE(buckets.take("ana", {}, start).allowed);  // no limit
}

TEST(TokenBuckets, WhoComesBackAfterWeeksIsLetIn) {
  TokenBuckets buckets(64);
  const Rate rate{1, 1};
  for (const auto days : {0, 25, 40, 90, 91, 400}) {
    const auto then = start + days * 24h;
    EXPECT_TRUE(buckets.take("ana", rate, then).allowed) << days;
    EXPECT_FALSE(buckets.take("ana", rate, then).allowed) << days;
    EXPECT_FALSE(buckets.take("ana", rate, then - 1s).allowed) << "a thread's clock that is a moment behind";
  }
}

TEST(TokenBuckets, WhatCostsMoreThanATokenIsOwed) {
  TokenBuckets buckets(64);
  const Rate rate{10, 5};
  const auto taken = buckets.take("ana", rate, start);
  EXPECT_EQ(taken.remaining, 4u);
  EXPECT_EQ(buckets.left(taken.bucket, rate, start).remaining, 4u);
  buckets.take_more(taken.bucket, rate, 2, start);
  EXPECT_EQ(buckets.take("ana", rate, start).remaining, 1u);
  buckets.take_more(taken.bucket, rate, 101, start);
  const auto owing = buckets.take("ana", rate, start);
  EXPECT_FALSE(owing.allowed);
  EXPECT_EQ(owing.remaining, 0u);
  EXPECT_EQ(owing.wait, 10'100ms);
  const auto left = buckets.left(taken.bucket, rate, start);
  EXPECT_EQ(left.remaining, 0u);
  EXPECT_EQ(left.wait, 10'100ms);
  EXPECT_EQ(buckets.left(taken.bucket, rate, start + 10'300ms).remaining, 3u);
  EXPECT_FALSE(buckets.take("ana", rate, start + 10s).allowed);
  EXPECT_TRUE(buckets.take("ana", rate, start + 10'200ms).allowed);
  EXPECT_EQ(buckets.take("bob", rate, start).remaining, 4u);
}

TEST(TokenBuckets, AMillionCallersCostNoMoreMemoryAndDontFreeWhoIsOverIts) {
  TokenBuckets buckets(64u << 10);
  const auto before = buckets.bytes();
  const Rate rate{1, 4};
  for (int i = 0; i < 4; ++i) buckets.take("noisy", rate, start);
  int freed = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    const auto caller = "address " + std::to_string(i);
    buckets.take(caller, rate, start + std::chrono::milliseconds(i / 1000));
    if (i % 1000 == 999) freed += buckets.take("noisy", rate, start + std::chrono::milliseconds(i / 1000)).allowed;
  }
  EXPECT_EQ(buckets.bytes(), before);
  EXPECT_LE(before, std::size_t{2} << 20);
  EXPECT_LE(freed, 1);  // the token that one second brings
}

TEST(ClientAddress, ForwardedCountsOnlyFromATrustedProxyAndOnlyAsFarAsThey) {
  TrustedProxies proxies{{*parse_network("10.0.0.0/8"), *parse_network("fd00::/8"), *parse_network("127.0.0.1")}};
  const auto seen = [&](const char* peer, std::vector<HeaderField> headers) {
    return client_address(make_address(peer), headers, proxies).to_string();
  };
  EXPECT_EQ(seen("192.0.2.1", {{"X-Forwarded-For", "198.51.100.7"}}), "192.0.2.1");
  EXPECT_EQ(seen("10.0.0.1", {{"X-Forwarded-For", "198.51.100.7"}}), "198.51.100.7");
  EXPECT_EQ(seen("10.0.0.1", {{"X-Forwarded-For", "203.0.113.9, 198.51.100.7, 10.1.1.1"}}), "198.51.100.7");
  EXPECT_EQ(seen("10.0.0.1", {{"x-forwarded-for", "203.0.113.9"}, {"X-Forwarded-For", "198.51.100.7"}}),
            "198.51.100.7");
  EXPECT_EQ(seen("10.0.0.1", {{"X-Forwarded-For", "203.0.113.9, unknown"}}), "10.0.0.1");
  EXPECT_EQ(seen("10.0.0.1", {{"X-Forwarded-For", "198.51.100.7:4711"}}), "198.51.100.7");
  EXPECT_EQ(seen("fd00::1", {{"X-Forwarded-For", "2001:db8::5"}}), "2001:db8::5");
  EXPECT_EQ(seen("10.0.0.1", {{"Forwarded", "for=198.51.100.7"}}), "10.0.0.1") << "the header that nobody here writes";
  EXPECT_EQ(seen("10.0.0.1", {}), "10.0.0.1");
  proxies.header = ForwardedHeader::forwarded;
  EXPECT_EQ(seen("10.0.0.1", {{"Forwarded", "for=203.0.113.9;proto=https, For=\"[2001:db8::5]:80\";by=10.0.0.2"}}),
            "2001:db8::5");
  EXPECT_EQ(seen("10.0.0.1", {{"Forwarded", "for=_hidden"}}), "10.0.0.1");
}

TEST(ClientAddress, QuotasSeeAnIpv6NetworkAsOneClient) {
  EXPECT_EQ(quota_identity(make_address("2001:db8::1")), quota_identity(make_address("2001:db8::ffff:2")));
  EXPECT_NE(quota_identity(make_address("2001:db8::1")), quota_identity(make_address("2001:db8:0:1::1")));
  EXPECT_NE(quota_identity(make_address("192.0.2.1")), quota_identity(make_address("192.0.2.2")));
  EXPECT_EQ(quota_identity(make_address("::ffff:192.0.2.1")), quota_identity(make_address("192.0.2.1")));
}

TEST(ClientAddress, NetworksAreReadStrictly) {
  for (const auto* text : {"", "10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "x", "::/129", "10.0.0.0/8x"})
    EXPECT_FALSE(parse_network(text)) << text;
}

}  // namespace
}  // namespace assay
