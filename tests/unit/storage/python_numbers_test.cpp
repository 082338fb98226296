#include "storage/records/python_numbers.hpp"

#include <gtest/gtest.h>

#include "storage/records/python_text.hpp"

namespace assay {
namespace {

TEST(PythonNumbers, BareWordsAreReadAndWrittenAgain) {
  boost::system::error_code ec;
  const std::string_view text = R"({"a": [NaN, -Infinity, 1.5], "NaN": "say \"NaN, Infinity\"", "b": {"c": Infinity}})";
  const auto value = parse_python_json(text, ec);
  ASSERT_FALSE(ec) << ec.message();
  EXPECT_EQ(python_number(value.at("a").at(0)), "NaN");
  EXPECT_EQ(python_number(value.at("a").at(1)), "-Infinity");
  EXPECT_FALSE(python_number(value.at("a").at(2)));
  EXPECT_FALSE(python_number(value.at("NaN")));
  EXPECT_EQ(with_python_numbers(python_json(value)), text);
}

TEST(PythonNumbers, OthersAreStillNoJson) {
  for (const std::string_view text : {"nan", "{NaN: 1}", "[NaN", "[1 NaN]", "", "Infinity!"}) {
    boost::system::error_code ec;
    parse_python_json(text, ec);
    EXPECT_TRUE(ec) << text;
  }
}

}  // namespace
}  // namespace assay
