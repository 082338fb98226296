#include <gtest/gtest.h>

#include "ops/cli/options.hpp"

namespace assay::cli {
namespace {

TEST(UrlOfAServer, IsOneThatPathsCanBePutBehind) {
  for (const auto* url : {"http://h:5000", "https://h/mlflow", "http://h:5000/"})
    EXPECT_EQ(problem_with_url("--mlflow-url", url), std::nullopt) << url;
  for (const auto* url : {"h:5000", "http://u:p@h", "http://h:5000/#/experiments/0", "http://h/?o=1", "http://h/#"})
    EXPECT_TRUE(problem_with_url("--mlflow-url", url)) << url;
}

}  // namespace
}  // namespace assay::cli
