// What a file for --config may look like. Each wrong one here is taken by CLI11 without a word, and says something
// else.
#include "ops/cli/config_file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/support/temporary_directory.hpp"

namespace assay::cli {
namespace {

TEST(ConfigFile, TakesSettingsListsAndComments) {
  for (const auto* text : {
           "",
           "# nothing\n\n",
           "listen = \"127.0.0.1:8080\"\nrequests-max=8 # so many\r\ninsecure-no-auth = true",
           "data = 'it\"s'\n\"park-max\" = \"7h\"\n",
           "anonymous = [\"chat\", 'feedback']  # who has no key\n",
           "anonymous = [\n  \"chat\",\n  \"feedback\",\n]\nlisten = \"x\"\n",
           "park-max = 7h\n",
           "redact-pattern = [\"a=b\\\"c\"]",
           "name = \"ä\"\n",
           "[serve]\nlisten = \"x\"\n",
       })
    EXPECT_EQ(problem_with_config_text(text), "") << text;
}

TEST(ConfigFile, MayEndAnywhere) {
  const std::string text = "# a\n\"listen\" = \"x\\\"y\" # b\nanonymous = [\n 'chat', \"feedback\",\n]\n[serve]\n";
  for (std::size_t n = 0; n <= text.size(); ++n) EXPECT_NO_THROW(problem_with_config_text(text.substr(0, n))) << n;
}

TEST(ConfigFile, SaysWhatIsWrongAndWhere) {
  const std::pair<std::string, std::string> wrong[] = {
      {"anonymous = [\"chat\"\n", "line 1: anonymous: a bracket is not closed"},
      {"anonymous = [\"chat\"\nlisten = \"x\"\n", "line 1: anonymous: a bracket is not closed"},
      {"\nlisten = \"x\n", "line 2: listen: a quote is not closed"},
      {"listen = 'x\n", "line 1: listen: a quote is not closed"},
      {"# a\nlisten = \"x\" junk\n", "line 2: there is more behind the value"},
      {"kafka = a:1,b:1\n", "line 1: there is more behind the value"},
      {"listen = \"x\"\npark-max = \"1h\"\nlisten = \"y\"\n", "line 3: listen is set in line 1 already"},
      {"listen\n", "line 1: it is not KEY = VALUE"},
      {"listen # = 1\n", "line 1: it is not KEY = VALUE"},
      {"= 1\n", "line 1: it has no key"},
      {"list en = 1\n", "line 1: it has no key"},
      {"listen = \n", "line 1: listen: it has no value"},
      {"[serve\n", "line 1: a bracket is not closed"},
      {"a = 1\nb = \"\xff\xfe\"\n", "line 2: it is not UTF-8"},
      {"redact-pattern = \"a#b\"\n", "line 1: redact-pattern: a # can't stand in a file"},
      {"anonymous = [\n  \"chat\",  # all\n]\n", "line 1: anonymous: a comment can't stand within a list"},
      {"anonymous = [\n  \"chat\"\n]  # all\n", "line 1: anonymous: a comment can't stand behind a list"},
  };
  for (const auto& [text, words] : wrong)
    EXPECT_TRUE(problem_with_config_text(text).starts_with(words)) << text << problem_with_config_text(text);
}

TEST(ConfigFile, IsReadMoreThanOnceSoAPipeIsNone) {
  TemporaryDirectory directory;
  const auto path = directory.path() + "/settings";
  EXPECT_EQ(problem_with_config_file(path), "") << "CLI11 says that it is not there";
  EXPECT_TRUE(problem_with_config_file(directory.path()).starts_with(directory.path() + ": it is no file"));
  std::ofstream(path) << "park-max = 7h\n";
  EXPECT_EQ(problem_with_config_file(path), "");
  std::filesystem::create_symlink(path, path + ".link");
  EXPECT_EQ(problem_with_config_file(path + ".link"), "");
  ASSERT_EQ(::mkfifo((path + ".pipe").c_str(), 0600), 0);
  EXPECT_TRUE(problem_with_config_file(path + ".pipe").starts_with(path + ".pipe: it is no file"));
}

}  // namespace
}  // namespace assay::cli
