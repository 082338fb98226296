#include "storage/records/python_text.hpp"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

namespace assay {
namespace {

TEST(PythonText, IsWhatStrPrints) {
  const std::pair<std::string, std::string> texts[] = {
      {R"("plain 'text'")", "plain 'text'"},
      {"true", "True"},
      {"null", "None"},
      {"5", "5"},
      {"5.0", "5.0"},
      {"1e20", "1e+20"},
      {R"({"a":"b","c":{}})", "{'a': 'b', 'c': {}}"},
      {R"(["a",null,true,1.5,"it's"])", R"(['a', None, True, 1.5, "it's"])"},
      {R"(["both'\"","n\n\t\\","ü","\u0001\u007f"])", R"(['both\'"', 'n\n\t\\', 'ü', '\x01\x7f'])"},
  };
  for (const auto& [json, text] : texts) EXPECT_EQ(python_str(boost::json::parse(json)), text) << json;
}

}  // namespace
}  // namespace assay
