#include "ingest/mlflow/catalog_search.hpp"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

namespace assay {
namespace {

namespace json = boost::json;

struct Thing {
  std::string name;
};
filter::CatalogEntry entry_of(const Thing& thing) {
  static const std::map<std::string, std::string> no_tags;
  return {[&thing](std::string_view) { return filter::Value(thing.name); }, &no_tags};
}
std::string json_of(const Thing& thing) { return "\"" + thing.name + "\""; }

Result<CatalogSearch, MlflowError> read(const char* body, std::vector<std::string> order_by = {"name ASC"}) {
  return read_catalog_search(filter::CatalogKind::experiment, json::parse(body).as_object(), order_by, 0);
}
std::string found(const char* body, std::vector<Thing> all) {
  const auto search = read(body);
  if (!search) return search.error().message;
  const auto page = page_of(std::move(all), *search, "things", &entry_of, &json_of);
  return page ? *page : page.error().message;
}
std::string problem(const char* body, std::vector<std::string> order_by = {}) {
  const auto search = read(body, std::move(order_by));
  return search ? "accepted" : search.error().message;
}

TEST(CatalogSearch, APageSaysWhatFollowsItAndTheLastOneNothing) {
  const std::vector<Thing> all = {{"c"}, {"a"}, {"b"}};
  const auto first = json::parse(found(R"({"max_results":2})", all)).as_object();
  EXPECT_EQ(first.at("things"), json::parse(R"(["a","b"])"));
  const auto token = std::string(first.at("next_page_token").as_string());
  const auto rest = R"({"max_results":2,"page_token":")" + token + "\"}";
  EXPECT_EQ(found(rest.c_str(), all), R"({"things":["c"]})");
  EXPECT_EQ(found(rest.c_str(), {{"a"}}), "{}") << "a page behind the end";
}

TEST(CatalogSearch, FindsWhatTheFilterSays) {
  EXPECT_EQ(found(R"({"max_results":9,"filter":"name = 'b'"})", {{"a"}, {"b"}}), R"({"things":["b"]})");
  EXPECT_EQ(found(R"({"max_results":9,"filter":"name = 'z'"})", {{"a"}, {"b"}}), "{}");
}

TEST(CatalogSearch, RefusesWhatItCantReadInMlflowsWords) {
  EXPECT_EQ(problem("{}"), "Invalid value 0 for parameter 'max_results' supplied. It must be a positive integer");
  EXPECT_EQ(problem(R"({"max_results":50001})"),
            "Invalid value 50001 for parameter 'max_results' supplied. It must be at most 50000");
  EXPECT_EQ(problem(R"({"max_results":1,"page_token":"%"})"), "Invalid page token, decoded value=b''");
  EXPECT_NE(problem(R"({"max_results":1,"filter":"colour = 'red'"})"), "accepted");
  EXPECT_NE(problem(R"({"max_results":1})", {"colour"}), "accepted");
}

}  // namespace
}  // namespace assay
