#include "storage/store/trace_row.hpp"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

namespace assay {
namespace {

TEST(TraceRow, ShowsNoMoreOfATextThanMlflowAndKeepsItWhole) {
  const auto many = [](std::size_t n) {
    std::string out;
    for (std::size_t i = 0; i < n; ++i) out += "\u017c";  // of two bytes
    return out;
  };
  const std::string key(251, 'k');
  TraceRecord record{.trace_id = "tr-1", .accepted_at = *parse_time("2026-11-23T15:57:31.547Z")};
  record.info = R"({"trace_id":"tr-1","trace_location":{"type":"MLFLOW_EXPERIMENT"},"tags":{"long":")" + many(5000) +
                R"(","fits":")" + many(4096) + R"(",")" + key + R"(":"v"},"trace_metadata":{"m":")" + many(251) +
                R"(","assay.experiment":"shop"}})";
  TraceRow row;
  ASSERT_TRUE(row.apply(record));
  const auto shown = boost::json::parse(row.info_json("tr-1", "", "", false, TraceRow::Texts::shown));
  EXPECT_EQ(shown.at("tags").at("long"), boost::json::value(many(4096)));
  EXPECT_EQ(shown.at("tags").at("fits"), boost::json::value(many(4096)));
  EXPECT_EQ(shown.at("tags").at(key.substr(1)), "v");
  EXPECT_EQ(shown.at("trace_metadata").at("m"), boost::json::value(many(250)));
  EXPECT_EQ(shown.at("trace_metadata").as_object().size(), 1u) << "the experiment's name is for the sinks";
  const auto whole = boost::json::parse(row.info_json("tr-1", "", ""));
  EXPECT_EQ(whole.at("tags").at("long"), boost::json::value(many(5000)));
  EXPECT_EQ(whole.at("trace_metadata").at("assay.experiment"), "shop");
  EXPECT_EQ(whole.at("trace_metadata").at("m"), boost::json::value(many(251)));
}

// The name of an experiment is its location's: where another location counts, it does not.
TEST(TraceRow, GivesTheSinksTheNameOfTheExperimentThatCounts) {
  const auto in = [](std::string_view id, std::string_view name, bool from_spans, int second) {
    std::string info = R"({"trace_id":"tr-1","trace_location":{"type":"MLFLOW_EXPERIMENT","mlflow_experiment":)";
    info += R"({"experiment_id":")" + std::string(id) + R"("}},"trace_metadata":{"m":"1")";
    if (!name.empty()) info += R"(,"assay.experiment":")" + std::string(name) + '"';
    info += R"(},"state":"OK"})";
    return TraceRecord{.from_spans = from_spans,
                       .trace_id = "tr-1",
                       .accepted_at = *parse_time("2026-11-23T15:57:31Z") + std::chrono::seconds(second),
                       .info = info};
  };
  const auto name_of = [](std::vector<TraceRecord> records) {
    TraceRow row;
    for (const auto& record : records) EXPECT_TRUE(row.apply(record));
    const auto whole = boost::json::parse(row.info_json("tr-1", "", ""));
    const auto* name = whole.at("trace_metadata").as_object().if_contains("assay.experiment");
    return name ? std::string(name->as_string()) : std::string();
  };
  const auto started = in("0", "", false, 0), late_span = in("1734512345", "B", true, 1);
  EXPECT_EQ(name_of({started, late_span}), "");
  EXPECT_EQ(name_of({late_span, started}), "");
  EXPECT_EQ(name_of({in("0", "", true, 0), late_span}), "");
  EXPECT_EQ(name_of({late_span}), "B");
  EXPECT_EQ(name_of({late_span, in("1734512345", "B", false, 2)}), "B");
}

TraceRecord with_tags(int from, int n, const std::string& value = "v") {
  std::string info = R"({"trace_id":"tr-1","tags":{)";
  for (int i = from; i < from + n; ++i)
    info += (i > from ? R"(,"k)" : R"("k)") + std::to_string(i) + R"(":")" + value + '"';
  return {.trace_id = "tr-1", .accepted_at = *parse_time("2026-11-23T15:57:31Z"), .info = info + "}}"};
}

// Each record about a trace reads and writes all of it.
TEST(TraceRow, EndsWithItsRootWhereNoStateIsStated) {
  const auto says = [](std::string_view state, bool from_spans, int second) {
    return TraceRecord{.from_spans = from_spans,
                       .trace_id = "tr-1",
                       .accepted_at = *parse_time("2026-11-23T15:57:31Z") + std::chrono::seconds(second),
                       .info = R"({"trace_id":"tr-1","state":")" + std::string(state) + R"("})"};
  };
  const auto state_of = [](std::vector<TraceRecord> records) {
    TraceRow row;
    for (const auto& record : records) EXPECT_TRUE(row.apply(record));
    return row.text_at("state").value_or("none");
  };
  const auto unstated = says("STATE_UNSPECIFIED", false, 0), root = says("ERROR", true, 1);
  EXPECT_EQ(state_of({unstated, root}), "ERROR");
  EXPECT_EQ(state_of({root, unstated}), "ERROR");
  EXPECT_EQ(state_of({unstated, says("IN_PROGRESS", true, 1)}), "STATE_UNSPECIFIED");
  EXPECT_EQ(state_of({unstated, says("OK", false, 1), root}), "OK");
}

TEST(TraceRow, TakesSoManyTagsAndMetadataAndSoManyBytes) {
  constexpr int most = trace_entries_max;
  TraceRow row;
  ASSERT_TRUE(row.apply(with_tags(0, most)));
  EXPECT_TRUE(row.apply(with_tags(0, most, "another value")));
  auto full = row;
  EXPECT_FALSE(full.apply(with_tags(most, 1)));
  const std::string large(trace_info_bytes_max - 100, 'x');
  TraceRow heavy;
  ASSERT_TRUE(heavy.apply(with_tags(0, 1, large)));
  auto heavier = heavy;
  EXPECT_FALSE(heavier.apply(with_tags(1, 1, std::string(200, 'x'))));
  EXPECT_TRUE(heavy.apply(with_tags(1, 1, "v")));
}

}  // namespace
}  // namespace assay
