#include "storage/records/exact_json.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <cmath>
#include <limits>
#include <random>
#include <string>

namespace assay {
namespace {

namespace json = boost::json;

json::value parsed(std::string_view text) {
  boost::system::error_code ec;
  auto value = parse_json(text, ec);
  EXPECT_FALSE(ec) << text << ": " << ec.message();
  return value;
}

TEST(ExactJson, ADoubleIsReadAsItWasWritten) {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> score(-1, 1);
  for (int i = 0; i < 20'000; ++i) {
    // Half of them like scores are, half of any size.
    const double number = i % 2 ? score(random) : std::bit_cast<double>(random());
    if (!std::isfinite(number)) continue;
    char buffer[64];
    std::string text(buffer, std::to_chars(buffer, buffer + sizeof buffer, number).ptr);
    if (text.find_first_of(".e") == text.npos) text += ".0";
    const auto read = parsed("[" + text + "]");
    ASSERT_TRUE(read.at(0).is_double()) << text;
    ASSERT_EQ(read.at(0).get_double(), number) << text;
  }
  EXPECT_EQ(json::serialize(parsed("0.09090909090909091")), "9.090909090909091E-2");
}

TEST(ExactJson, AllElseIsAsBoostReadsIt) {
  for (const std::string text :
       {R"({"a":[1,-2,0,-0,18446744073709551615,-9223372036854775808,99999999999999999999],"b":"x\u00e9\ud83d\ude00"})",
        R"({"a":1,"b":2,"a":3.5})", R"([true,false,null,"",{},[]])", R"(1e-400)", R"( 5e0 )",
        R"({"k\u00e9y":1.5e3,"l":1E+2})", R"([[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]])"})
    EXPECT_EQ(json::serialize(parsed(text)), json::serialize(json::parse(text))) << text;
}

TEST(ExactJson, ANumberThatNoDoubleHoldsIsRefused) {
  for (const std::string text : {"1e400", "-1e400", "[1,{\"a\":1.5e309}]", "17976931348623157e300"}) {
    boost::system::error_code ec;
    EXPECT_TRUE(parse_json(text, ec).is_null()) << text;
    EXPECT_EQ(ec, json::error::exponent_overflow) << text;
  }
  EXPECT_EQ(parsed("1.7976931348623157e308").get_double(), std::numeric_limits<double>::max());
}

TEST(ExactJson, WhatIsNoJsonIsRefusedAsBoostRefusesIt) {
  const std::string deep(33, '['), deeper(40, '[');
  json::parse_options options;
  options.max_depth = 33;
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("1 2"), std::string("{\"a\":}"), std::string("[1.]"),
        std::string("-"), std::string("Infinity"), std::string("\"\xff\""), std::string("[1,]"), deep, deeper})
    for (const auto& how : {json::parse_options(), options}) {
      boost::system::error_code exact, boosts;
      EXPECT_TRUE(parse_json(text, exact, how).is_null());
      (void)json::parse(text, boosts, {}, how);
      EXPECT_TRUE(exact) << text;
      EXPECT_EQ(exact, boosts) << text;
    }
}

}  // namespace
}  // namespace assay
