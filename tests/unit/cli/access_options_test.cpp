#include "ops/cli/access_options.hpp"

#include <gtest/gtest.h>

#include "tests/support/temporary_directory.hpp"

namespace assay::cli {
namespace {

class AccessOptionsTest : public testing::Test {
 protected:
  std::string problem() { return options_.settle(directory_.path(), "127.0.0.1").value_or(""); }
  bool is_refused(std::string_view flag) { return problem().starts_with(flag); }

  TemporaryDirectory directory_;
  AccessOptions options_;
};

TEST_F(AccessOptionsTest, AnOriginIsHeldAsBrowsersSendIt) {
  options_.origins = {"https://a.example:443", "http://a.example:80", "http://a.example:443",
                      "https://a.example:80",  "http://[::1]:80",     "*"};
  EXPECT_EQ(problem(), "");
  EXPECT_EQ(options_.gate.origins,
            (std::vector<std::string>{"https://a.example", "http://a.example", "http://a.example:443",
                                      "https://a.example:80", "http://[::1]", "*"}));
  options_.origins = {"https://user@a.example"};
  EXPECT_TRUE(is_refused("--cors-origin"));
}

TEST_F(AccessOptionsTest, WhereToRedactNeedsWhat) {
  options_.redact_in = {"feedback"};
  EXPECT_TRUE(is_refused("--redact-in"));
  options_ = {};
  options_.redact_in = {"feedback"};
  options_.redaction.built_in = {"email"};
  EXPECT_EQ(problem(), "");
  EXPECT_TRUE(options_.redaction.feedback);
  EXPECT_FALSE(options_.redaction.traces);
  options_ = {};
  options_.redaction.built_in = {"email"};
  EXPECT_EQ(problem(), "");
  EXPECT_TRUE(options_.redaction.feedback && options_.redaction.traces);
}

TEST_F(AccessOptionsTest, ScopesForAnybodyAndEverythingForEverybodyContradictEachOther) {
  options_.insecure = true;
  EXPECT_EQ(problem(), "");
  options_ = {};
  options_.insecure = true;
  options_.anonymous = {"chat"};
  EXPECT_TRUE(is_refused("--insecure-no-auth and --anonymous"));
}

TEST_F(AccessOptionsTest, AHeaderOfProxiesNeedsProxies) {
  options_.forwarded_header = "forwarded";
  EXPECT_TRUE(is_refused("--forwarded-header"));
}

}  // namespace
}  // namespace assay::cli
