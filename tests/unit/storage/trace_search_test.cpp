#include "storage/store/filter/trace_search.hpp"

#include <gtest/gtest.h>

#include "storage/sinks/store_sink.hpp"
#include "storage/state/memory_key_value.hpp"
#include "tests/unit/storage/store_records.hpp"

namespace assay {
namespace {

using namespace testing_records;
using filter::TraceQuery;
using filter::TraceSearch;

class TraceSearchTest : public testing::Test {
 protected:
  void add(const Record& record, Partition partition = 0) { log_.add(record, partition); }
  void apply() {
    StoreSink sink(kv_, clock_);
    for (const auto& record : log_.records()) ASSERT_TRUE(sink.position({record.stream, record.partition}));
    ASSERT_TRUE(sink.apply(log_.records()));
  }

  void add_trace(const std::string& id, int second, const std::string& more = "", const std::string& spans = "") {
    add(trace(id, at(1000 + second), located("1", at(second)) + (more.empty() ? "" : "," + more), spans));
  }

  TraceQuery query(const std::string& filter, std::vector<std::string> order = {}, std::size_t most = 100) {
    TraceQuery out{.experiments = {"1"}, .max_results = most};
    auto parsed = filter::parse_trace_filter(filter);
    EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().message);
    if (parsed) out.filter = *parsed;
    out.order = *filter::parse_trace_order(order);
    return out;
  }

  // The ids of one page, the token behind them.
  std::string page(TraceQuery query, std::string* token = nullptr, std::string* index = nullptr,
                   std::size_t* examined = nullptr) {
    const Store store(kv_);
    auto made = TraceSearch::make(kv_, store, std::move(query));
    if (!made || !*made) return made ? made->error().message : "an error";
    auto& search = **made;
    for (bool done = false; !done;) {
      const auto step = search.step(2);
      if (!step || !*step) return step ? step->error().message : "an error";
      done = **step == TraceSearch::State::complete;
    }
    if (token) *token = search.next_page_token();
    if (index) *index = search.index();
    if (examined) *examined = search.examined();
    std::string ids;
    for (const auto& id : search.trace_ids()) ids += (ids.empty() ? "" : " ") + id;
    return ids;
  }
  std::string find(const std::string& filter) { return page(query(filter)); }

  MemoryKeyValue kv_;
  SystemClock clock_;
  Log log_;
};

TEST_F(TraceSearchTest, TheNewestComeFirstAndOfOneTimeTheSmallerId) {
  add_trace("tr-b", 1);
  add_trace("tr-a", 1);
  add_trace("tr-c", 2);
  add(trace("tr-other", at(9), located("2", at(9))));
  apply();
  EXPECT_EQ(find(""), "tr-c tr-a tr-b");
}

TEST_F(TraceSearchTest, PagesNeitherRepeatNorLeaveOutWhereTimesAreEqual) {
  for (const char c : std::string("gfedcba")) add_trace(std::string("tr-") + c, 5);
  apply();
  std::string all, token;
  for (int pages = 0; pages < 10; ++pages) {
    auto next = query("", {}, 2);
    next.page = *filter::parse_page_token(token);
    const auto ids = page(next, &token);
    all += (all.empty() || ids.empty() ? "" : " ") + ids;
    if (token.empty()) break;
  }
  EXPECT_EQ(all, "tr-a tr-b tr-c tr-d tr-e tr-f tr-g");
}

TEST_F(TraceSearchTest, WhatIsNamedTwiceFindsATraceOnce) {
  for (const char c : std::string("edcba"))
    add_trace(std::string("tr-") + c, 5, R"("state":"OK","client_request_id":"r")");
  apply();
  const std::string all = "tr-a tr-b tr-c tr-d tr-e";
  EXPECT_EQ(find("status IN ('OK', 'OK')"), all);
  EXPECT_EQ(find("client_request_id IN ('r', 'x', 'r')"), all);
  auto twice = query("");
  twice.experiments = {"1", "1"};
  EXPECT_EQ(page(twice), all);
}

TEST_F(TraceSearchTest, ANewTraceBetweenTwoPagesMovesNothing) {
  for (int i = 0; i < 4; ++i) add_trace("tr-" + std::to_string(i), i);
  apply();
  std::string token;
  EXPECT_EQ(page(query("", {}, 2), &token), "tr-3 tr-2");
  add_trace("tr-9", 99);
  apply();
  auto next = query("", {}, 2);
  next.page = *filter::parse_page_token(token);
  EXPECT_EQ(page(next), "tr-1 tr-0");
}

TEST_F(TraceSearchTest, TakesMlflowsOwnTokensOfAnOffset) {
  for (int i = 0; i < 4; ++i) add_trace("tr-" + std::to_string(i), i);
  apply();
  auto next = query("");
  next.page = *filter::parse_page_token("eyJvZmZzZXQiOiAyfQ==");
  EXPECT_EQ(page(next), "tr-1 tr-0");
}

TEST_F(TraceSearchTest, TagsThatAreShownAreFound) {
  add_trace("tr-1", 1, "", R"([{"span_id":"00f067aa0ba902b7","name":"x"}])");
  add_trace("tr-2", 2);
  add_trace("tr-3", 3, R"("tags":{"mlflow.artifactLocation":"s3://b","assay.feedback":"mine"})");
  add(feedback("a-1", "tr-1", at(0), "user_feedback", "false"));
  add(feedback("a-3", "tr-3", at(0), "user_feedback", "false"));
  apply();
  EXPECT_EQ(find("tags.`assay.feedback` = 'user_feedback=false'"), "tr-1");
  EXPECT_EQ(find("tags.`assay.feedback` LIKE '%'"), "tr-3 tr-1");
  EXPECT_EQ(find("tags.`assay.feedback` IS NULL"), "tr-2");
  EXPECT_EQ(find("tags.`mlflow.artifactLocation` LIKE 'mlflow-artifacts:/1/traces/%'"), "tr-2 tr-1");
  EXPECT_EQ(find("tags.`mlflow.artifactLocation` = 'mlflow-artifacts:/1/traces/tr-2/artifacts'"), "tr-2");
  EXPECT_EQ(find("tags.`mlflow.artifactLocation` IS NULL"), "");
  EXPECT_EQ(find("tags.`mlflow.trace.spansLocation` = 'TRACKING_STORE'"), "tr-1");
  EXPECT_EQ(find("tags.`mlflow.trace.spansLocation` IS NULL"), "tr-3 tr-2");
  EXPECT_EQ(page(query("", {"tags.mlflow.artifactLocation DESC"})), "tr-3 tr-2 tr-1");
}

TEST_F(TraceSearchTest, TheNarrowestIndexIsRead) {
  add_trace(
      "tr-1", 1,
      R"("client_request_id":"req-1","state":"OK","tags":{"env":"prod"},"trace_metadata":{"mlflow.trace.session":"s1"})");
  add_trace(
      "tr-2", 2,
      R"("client_request_id":"req-2","state":"ERROR","tags":{"env":"dev"},"trace_metadata":{"mlflow.trace.session":"s2"})");
  add_trace("tr-3", 3);
  add(feedback("a-1", "tr-2", at(4), "tone", "\"kind\""));
  apply();
  const std::tuple<std::string, std::string, std::string> cases[] = {
      {"attributes.client_request_id = 'req-1' AND status = 'OK'", "client_request_id", "tr-1"},
      {"request_id = 'tr-3'", "trace_id", "tr-3"},
      {"metadata.mlflow.trace.session = 's2' AND tags.env = 'dev'", "session", "tr-2"},
      {"feedback.tone = 'kind'", "assessment", "tr-2"},
      {"tags.env = 'prod' AND status = 'OK'", "tag", "tr-1"},
      {"status = 'ERROR'", "state", "tr-2"},
      {"tags.env LIKE 'p%'", "experiment", "tr-1"},
  };
  for (const auto& [filter, index, ids] : cases) {
    std::string used;
    std::size_t examined = 0;
    EXPECT_EQ(page(query(filter), nullptr, &used, &examined), ids) << filter;
    EXPECT_EQ(used, index) << filter;
    EXPECT_EQ(examined, index == "experiment" ? 3u : 1u) << filter;
  }
}

TEST_F(TraceSearchTest, AnEntryOfAnIndexGoesWithTheValueThatItWasAbout) {
  add_trace("tr-1", 1, R"("state":"IN_PROGRESS","tags":{"env":"dev"})");
  apply();
  EXPECT_EQ(find("tags.env = 'dev'"), "tr-1");
  add(trace("tr-1", at(5000), R"("state":"OK","tags":{"env":"prod"})"));
  apply();
  EXPECT_EQ(find("tags.env = 'dev'"), "");
  EXPECT_EQ(find("status = 'IN_PROGRESS'"), "");
  EXPECT_EQ(find("tags.env = 'prod' AND status = 'OK'"), "tr-1");
  add(erase_trace("tr-1", at(6000)));
  apply();
  EXPECT_EQ(find("tags.env = 'prod'"), "");
  EXPECT_EQ(find(""), "");
}

TEST_F(TraceSearchTest, AWindowOfTimeIsLookedAtAndNoMore) {
  for (int i = 0; i < 100; ++i) add_trace("tr-" + std::to_string(100 + i), i);
  apply();
  const auto ms = [](int second) { return std::to_string(at(second).time_since_epoch().count()); };
  std::size_t examined = 0;
  EXPECT_EQ(
      page(query("timestamp_ms > " + ms(10) + " AND trace.timestamp_ms <= " + ms(13)), nullptr, nullptr, &examined),
      "tr-113 tr-112 tr-111");
  EXPECT_LE(examined, 5u);
}

TEST_F(TraceSearchTest, OrdersByTagsAndPutsWhatHasNoneLast) {
  add_trace("tr-1", 1, R"("tags":{"rank":"b"})");
  add_trace("tr-2", 2);
  add_trace("tr-3", 3, R"("tags":{"rank":"a"})");
  apply();
  EXPECT_EQ(page(query("", {"tags.rank ASC"})), "tr-3 tr-1 tr-2");
  EXPECT_EQ(page(query("", {"tags.rank DESC"})), "tr-1 tr-3 tr-2");
  EXPECT_EQ(page(query("", {"timestamp"})), "tr-1 tr-2 tr-3");
}

TEST_F(TraceSearchTest, WhatMustLookFarEndsEarlyWithATokenOrSaysNo) {
  for (int i = 0; i < 20; ++i) add_trace("tr-" + std::to_string(10 + i), i, i == 3 ? R"("tags":{"x":"rare"})" : "");
  apply();
  auto rare = query("tags.x LIKE 'ra%'");
  rare.examined_max = 10;
  std::string token;
  EXPECT_EQ(page(rare, &token), "");
  ASSERT_FALSE(token.empty());
  rare.page = *filter::parse_page_token(token);
  EXPECT_EQ(page(rare, &token), "tr-13");
  auto sorted = query("", {"timestamp ASC"});
  sorted.examined_max = 10;
  EXPECT_NE(page(sorted).find("narrow the filter"), std::string::npos);
}

TEST_F(TraceSearchTest, FindsByWhatWasSaidAndWhatIsOverriddenDoesNotCount) {
  add_trace("tr-1", 1);
  add_trace("tr-2", 2);
  add_trace("tr-3", 3);
  add(feedback("a-1", "tr-1", at(4), "score", "0.5"));
  add(feedback("a-2", "tr-2", at(4), "score", "true"));
  add(feedback("a-3", "tr-3", at(4), "score", "0.9"));
  add(feedback("a-4", "tr-3", at(5), "score", "\"true\"", R"(,"overrides":"a-3")"));
  apply();
  EXPECT_EQ(find("feedback.score > 0.1"), "tr-1");
  EXPECT_EQ(find("feedback.score = 'true'"), "tr-3 tr-2");
  EXPECT_EQ(find("feedback.score = '0.5'"), "tr-1");
  EXPECT_EQ(find("feedback.score IS NULL"), "");
  EXPECT_EQ(find("feedback.other IS NULL"), "tr-3 tr-2 tr-1");
  EXPECT_EQ(find("expectation.score IS NOT NULL"), "");
}

TEST_F(TraceSearchTest, OneSpanMustMatchAllClausesAboutSpans) {
  const auto span = [](const std::string& id, const std::string& name, const std::string& kind) {
    return R"({"span_id":")" + id + R"(","name":")" + name +
           R"(","status":{"code":"STATUS_CODE_OK"},"attributes":{"mlflow.spanType":"\")" + kind +
           R"(\""},"end_time_unix_nano":5})";
  };
  add_trace("tr-1", 1, "", "[" + span("a", "step", "LLM") + "," + span("b", "tool", "TOOL") + "]");
  add_trace("tr-2", 2, "", "[" + span("a", "step", "TOOL") + "]");
  apply();
  EXPECT_EQ(find("span.name = 'step' AND span.type = 'TOOL'"), "tr-2");
  EXPECT_EQ(find("span.status = 'OK'"), "tr-2 tr-1");
  EXPECT_EQ(find("trace.text LIKE '%tool%'"), "tr-1");
}

TEST_F(TraceSearchTest, ASpanThatSaysNoTypeIsUnlikeNone) {
  add_trace("tr-1", 1, "", R"([{"span_id":"a","name":"step","attributes":{},"end_time_unix_nano":5}])");
  apply();
  for (const auto* clause : {"span.type != 'LLM'", "span.type NOT IN ('LLM')", "span.type LIKE '%'"})
    EXPECT_EQ(find(clause), "") << clause;
  EXPECT_EQ(find("span.name = 'step'"), "tr-1");
}

TEST_F(TraceSearchTest, WhatWasConcludedFromSpansGivesWayWhateverCameFirst) {
  const auto said = trace("tr-1", at(10), located("1", at(1)) + R"(,"execution_duration":"2s","state":"OK")");
  TraceRecord record{.from_spans = true, .trace_id = "tr-1", .accepted_at = at(20)};
  record.info = R"({"trace_id":"tr-1",)" + located("1", at(3)) + R"(,"end_time":")" + format_time(at(9)) +
                R"(","state":"ERROR","request_preview":"from the span"})";
  record.spans = R"([{"span_id":"a","end_time_unix_nano":5}])";
  for (const bool spans_first : {false, true}) {
    MemoryKeyValue kv;
    Log log;
    if (spans_first) log.add(to_record(record));
    log.add(said);
    if (!spans_first) log.add(to_record(record));
    StoreSink sink(kv, clock_);
    ASSERT_TRUE(sink.position({Stream::traces, 0}));
    ASSERT_TRUE(sink.apply(log.records()));
    const auto row = *Store(kv).trace("tr-1");
    ASSERT_TRUE(row);
    EXPECT_EQ(row->time(), at(1));
    EXPECT_EQ(row->duration_ms(), 2000);
    EXPECT_EQ(row->text_at("state"), "OK");
    EXPECT_EQ(row->text_at("request_preview"), "from the span");
  }
}

TEST_F(TraceSearchTest, OfSpansThatComeInPartsTheEarliestStartAndTheLatestEndCount) {
  const auto part = [](int from, int to, Instant accepted) {
    TraceRecord record{.from_spans = true, .trace_id = "tr-1", .accepted_at = accepted};
    record.info = R"({"trace_id":"tr-1",)" + located("1", at(from)) + R"(,"end_time":")" + format_time(at(to)) + "\"}";
    return to_record(record);
  };
  for (const bool turned : {false, true}) {
    MemoryKeyValue kv;
    Log log;
    log.add(turned ? part(1, 4, at(20)) : part(3, 9, at(20)));
    log.add(turned ? part(3, 9, at(21)) : part(1, 4, at(21)));
    StoreSink sink(kv, clock_);
    ASSERT_TRUE(sink.position({Stream::traces, 0}));
    ASSERT_TRUE(sink.apply(log.records()));
    const auto row = *Store(kv).trace("tr-1");
    EXPECT_EQ(row->time(), at(1));
    EXPECT_EQ(row->duration_ms(), 8000);
    EXPECT_NE(row->info_json("tr-1", "", "").find(R"("execution_duration":"8s")"), std::string::npos);
    EXPECT_EQ(row->info_json("tr-1", "", "").find("end_time"), std::string::npos);
  }
}

TEST_F(TraceSearchTest, OfSessionsThatSpansNameTheFirstCountsWhateverCameFirst) {
  const auto part = [](const std::string& session, int accepted) {
    TraceRecord record{.from_spans = true, .trace_id = "tr-1", .accepted_at = at(accepted)};
    record.info = R"({"trace_id":"tr-1","trace_metadata":{"mlflow.trace.session":")" + session + "\"}}";
    return record;
  };
  const std::string path = "trace_metadata.mlflow.trace.session";
  for (const bool turned : {false, true}) {
    TraceRow row;
    ASSERT_TRUE(row.apply(turned ? part("b", 21) : part("a", 20)));
    ASSERT_TRUE(row.apply(turned ? part("a", 20) : part("b", 21)));
    EXPECT_EQ(row.text_at(path), "a");
    auto said = part("c", 19);
    said.from_spans = false;
    ASSERT_TRUE(row.apply(said));
    EXPECT_EQ(row.text_at(path), "c");
  }
}

}  // namespace
}  // namespace assay
