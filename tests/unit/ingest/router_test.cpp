#include "ingest/http/router.hpp"

#include <gtest/gtest.h>

namespace assay {
namespace {

const RouteOptions anyone{.scope = Scope::open};

void add(Router& router, http::verb method, std::string pattern) {
  router.add(
      method, std::move(pattern), [](Request&) -> Task<Response> { co_return Response(); }, anyone);
}

using Params = std::array<std::string, 2>;

TEST(Router, FindsWhatIsLiteralBeforeWhatIsNot) {
  Router router;
  add(router, http::verb::get, "/traces/{id}");
  add(router, http::verb::get, "/traces/search");
  EXPECT_EQ(router.find(http::verb::get, "/traces/search").route->pattern, "/traces/search");
  const auto found = router.find(http::verb::get, "/traces/a%2Fb");
  EXPECT_EQ(found.route->pattern, "/traces/{id}");
  EXPECT_EQ(found.params, (Params{"a/b", ""}));
  for (const auto* none : {"/traces", "/traces/", "/traces/a/b", "/traces/%", "traces/a", ""})
    EXPECT_FALSE(router.find(http::verb::get, none).route) << none;
}

TEST(Router, AParameterOfAPatternThatDoesNotFitAfterAllIsForgotten) {
  Router router;
  add(router, http::verb::get, "/models/{owner}/{model}/files");
  add(router, http::verb::get, "/models/{model}/by/name");
  const auto found = router.find(http::verb::get, "/models/gpt/by/name");
  ASSERT_TRUE(found.route);
  EXPECT_EQ(found.params, (Params{"gpt", ""}));
}

TEST(Router, SaysWhatAPathTakes) {
  Router router;
  add(router, http::verb::get, "/feedback/{id}");
  add(router, http::verb::patch, "/feedback/{id}");
  EXPECT_TRUE(router.find(http::verb::head, "/feedback/a").route);
  const auto found = router.find(http::verb::post, "/feedback/a");
  EXPECT_FALSE(found.route);
  EXPECT_EQ(found.allow, "GET, HEAD, PATCH");
}

}  // namespace
}  // namespace assay
