// What a file for --config may look like, and what it then says.
#include "ops/cli/config_file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/support/temporary_directory.hpp"

namespace assay::cli {
namespace {

std::string problem_with_config_text(std::string_view text) {
  const auto read = read_config_text(text);
  return read ? std::string() : read.error();
}

using Values = std::vector<std::string>;

// Of the one key that the text sets.
Values values_in(std::string_view text) {
  const auto read = read_config_text(text);
  if (!read) return {"problem", read.error()};
  return read->size() == 1 ? read->front().inputs : Values{"not one key"};
}

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
           "[default]\nlisten = \"x\"\n",
       })
    EXPECT_EQ(problem_with_config_text(text), "") << text;
}

TEST(ConfigFile, SaysKeysAndValuesInTheirOrder) {
  const auto read = read_config_text("# a\n'park-max'=7h # b\nanonymous = ['chat']\ninsecure-no-auth = true\n");
  ASSERT_TRUE(read);
  ASSERT_EQ(read->size(), 3u);
  const std::pair<std::string, Values> said[] = {
      {"park-max", {"7h"}}, {"anonymous", {"chat"}}, {"insecure-no-auth", {"true"}}};
  for (std::size_t i = 0; i < read->size(); ++i) {
    EXPECT_EQ((*read)[i].name, said[i].first);
    EXPECT_EQ((*read)[i].inputs, said[i].second);
    EXPECT_TRUE((*read)[i].parents.empty());
  }
}

TEST(ConfigFile, AWordNeedsNoQuotes) {
  EXPECT_EQ(values_in("a = 127.0.0.1:80\r\n"), Values{"127.0.0.1:80"});
  EXPECT_EQ(values_in("a=client.id=x\\d# b"), Values{"client.id=x\\d"});
  EXPECT_EQ(values_in("a = [ 30s,1, true , x ]"), (Values{"30s", "1", "true", "x"}));
}

TEST(ConfigFile, ReadsATextAsTomlDoes) {
  const std::pair<std::string, std::string> texts[] = {
      {R"("")", ""},
      {R"('')", ""},
      {R"("a, b = [c] # 'd'")", "a, b = [c] # 'd'"},
      {R"('a, b = [c] # "d"')", R"(a, b = [c] # "d")"},
      {R"("ID=ID-\\d+")", R"(ID=ID-\d+)"},
      {R"('ID=ID-\d+\')", R"(ID=ID-\d+\)"},
      {R"("x\"y")", R"(x"y)"},
      {R"("a\tb\nc\rd\fe")", "a\tb\nc\rd\fe"},
      {R"("\u0041\u00e4\u20AC\U0001F600")", "Aä€😀"},
      {R"("ä\\")", "ä\\"},
  };
  for (const auto& [text, meant] : texts) {
    EXPECT_EQ(values_in("a = " + text + "  # of it"), Values{meant}) << text;
    EXPECT_EQ(values_in("a = [" + text + " , " + text + ",]"), (Values{meant, meant})) << text;
  }
}

TEST(ConfigFile, AListMayGoOverLinesWithComments) {
  const Values two = {"chat", "feed#back"};
  for (const auto* text : {
           "a = [\n  \"chat\",\n  \"feed#back\"\n]\n",
           "a = [ # all\r\n  # of these\n\n  chat # one,\r\n  , 'feed#back' ,# ]\n  ]  # both\n",
           "a = [\"chat\",\n \"feed#back\"]",
           "a = [\"chat\" , \"feed#back\" , ]",
       })
    EXPECT_EQ(values_in(text), two) << text;
  EXPECT_EQ(values_in("a = []"), Values());
  EXPECT_EQ(values_in("a = [\n # none\n]"), Values());
}

TEST(ConfigFile, MayEndAnywhere) {
  const std::string text =
      "# a\n\"listen\" = \"x\\\"y\" # b\nanonymous = [\n 'chat', \"feedback\",\n]\n[default]\nb = \"\\t\\U0001F600\"\n";
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
      {"a = 1\n[report]\nhours = 3\n", "line 2: there is no section [report]: settings stand at the top"},
      {"[[report]]\n", "line 1: there is no section [report]"},
      {"a = [\"x\",\n'y\n", "line 2: a: a quote is not closed"},
      {"a = [\"x\" # ]\n# ]", "line 1: a: a bracket is not closed"},
      {"a = [\"x\",,]", "line 1: a: it has no value"},
      {"a = [[\"x\"]]", "line 1: a: it has no value"},
      {"\na = \"ID-\\d+\"", "line 2: a: \\d can't stand in double quotes: put the text into single quotes, or double"},
      {"a = [\n\"x\",\n\"\\bID\"\n]", "line 3: a: \\b can't stand in double quotes"},
      {"a = \"\\ä\"", "line 1: a: \\ä can't stand in double quotes"},
      {"a = \"\\\n\"", "line 1: a: a quote is not closed"},
      {"a = \"\\u004\"", "line 1: a: behind \\u stand the 4 hexadecimal digits of a character"},
      {"a = \"\\u004", "line 1: a: behind \\u stand the 4"},
      {"a = \"\\ud83d\\ude00\"", "line 1: a: behind \\u stand the 4"},
      {"a = \"\\u0000\"", "line 1: a: behind \\u stand the 4"},
      {"a = \"\\U00110000\"", "line 1: a: behind \\U stand the 8"},
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
