#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

#include "ingest/mlflow/span_json.hpp"
#include "ingest/otlp/inflate.hpp"
#include "ingest/otlp/otlp_request.hpp"
#include "ops/runtime/base64.hpp"

namespace assay {
namespace {

const Instant now = *parse_time("2026-11-23T15:57:31.547Z");

namespace pb {
// A message by hand: what a writer of the wire format does.
std::string varint(std::uint64_t n) {
  std::string out;
  for (; n >= 0x80; n >>= 7) out += static_cast<char>(n | 0x80);
  return out += static_cast<char>(n);
}
std::string bytes(int field, std::string_view content) {
  return varint(static_cast<std::uint64_t>(field) << 3 | 2) + varint(content.size()) + std::string(content);
}
std::string number(int field, std::uint64_t n) { return varint(static_cast<std::uint64_t>(field) << 3) + varint(n); }
std::string fixed(int field, std::uint64_t n) {
  std::string out = varint(static_cast<std::uint64_t>(field) << 3 | 1);
  for (int i = 0; i < 8; ++i) out += static_cast<char>(n >> (8 * i));
  return out;
}
std::string text(std::string_view value) { return bytes(1, value); }
std::string key_value(std::string_view key, std::string_view any) { return bytes(1, key) + bytes(2, any); }
}  // namespace pb

constexpr std::uint64_t second = 1'000'000'000;

std::string span(std::string_view id, std::string_view parent, std::string_view name, const std::string& more = "") {
  return pb::bytes(1, "0123456789abcdef") + pb::bytes(2, id) + (parent.empty() ? "" : pb::bytes(4, parent)) +
         pb::bytes(5, name) + pb::fixed(7, 100 * second) + pb::fixed(8, 102 * second) + more;
}
std::string request(const std::vector<std::string>& spans) {
  std::string scope;
  for (const auto& one : spans) scope += pb::bytes(2, one);
  const auto resource = pb::bytes(1, pb::bytes(1, pb::key_value("service.name", pb::text("shop"))));
  return pb::bytes(1, resource + pb::bytes(2, scope));
}

TEST(Otlp, KeepsSpansAsMlflowDoesAndConcludesTheTrace) {
  const auto inputs = pb::bytes(6, pb::bytes(1, pb::key_value("q", pb::text("hi"))));
  const auto list = pb::bytes(5, pb::bytes(1, pb::number(3, 1)) + pb::bytes(1, pb::number(2, 1)));
  const auto traces = parse_otlp(
      request({span("rootspan", "", "root",
                    pb::bytes(9, pb::key_value("mlflow.spanInputs", inputs)) + pb::bytes(15, pb::number(3, 1))),
               span("childspa", "rootspan", "child", pb::bytes(9, pb::key_value("m", list)))}),
      {"7"}, now);
  ASSERT_TRUE(traces) << traces.error().detail;
  ASSERT_EQ(traces->size(), 1u);
  const auto& trace = traces->front();
  EXPECT_TRUE(trace.from_spans);
  EXPECT_EQ(trace.trace_id, "tr-30313233343536373839616263646566");
  const auto info = boost::json::parse(trace.info);
  EXPECT_EQ(info.at("trace_location").at("mlflow_experiment").at("experiment_id"), "7");
  EXPECT_EQ(info.at("request_time"), "1970-01-01T00:01:40Z");
  EXPECT_EQ(info.at("end_time"), "1970-01-01T00:01:42Z");
  EXPECT_EQ(info.at("state"), "OK");
  EXPECT_EQ(info.at("request_preview"), R"({"q": "hi"})");
  EXPECT_EQ(info.at("tags").at("service.name"), "shop");
  const auto spans = boost::json::parse(trace.spans);
  ASSERT_EQ(spans.as_array().size(), 2u);
  EXPECT_EQ(spans.at(0).at("attributes").at("mlflow.spanInputs"), R"({"q": "hi"})");
  EXPECT_EQ(spans.at(0).at("attributes").at("mlflow.traceRequestId").as_string(), "\"" + trace.trace_id + "\"");
  EXPECT_EQ(spans.at(1).at("attributes").at("m"), "[1, true]");
  EXPECT_TRUE(spans.at(0).at("parent_span_id").is_null());
}

TEST(Otlp, AnswersSpansAsTheyCame) {
  const auto traces =
      parse_otlp(request({span("childspa", "rootspan", "child", pb::bytes(9, pb::key_value("n", pb::number(3, 5)))),
                          span("rootspan", "", "root", pb::bytes(15, pb::bytes(2, "why") + pb::number(3, 2)))}),
                 {"7"}, now);
  ASSERT_TRUE(traces);
  std::size_t count = 0;
  const auto spans = boost::json::parse(proto_spans(traces->front().spans, count));
  EXPECT_EQ(count, 2u);
  EXPECT_EQ(spans.at(0).at("name"), "root") << "the root comes first";
  EXPECT_EQ(spans.at(0).at("status").at("message"), "why");
  EXPECT_FALSE(spans.at(0).as_object().contains("parent_span_id"));
  EXPECT_EQ(spans.at(1).at("attributes").at(0).at("value").at("int_value"), 5);
}

TEST(Otlp, ALargeTraceIsSeveralRecords) {
  std::vector<std::string> spans;
  for (int i = 0; i < 40; ++i) {
    const auto id = "span" + std::to_string(1000 + i);
    spans.push_back(
        span(id, i ? "span1000" : "", "x", pb::bytes(9, pb::key_value("big", pb::text(std::string(1000, 'x'))))));
  }
  const auto traces = parse_otlp(request(spans), {"7"}, now, {.record_bytes_max = 10'000});
  ASSERT_TRUE(traces);
  EXPECT_GE(traces->size(), 4u);
  std::size_t total = 0;
  for (const auto& trace : *traces) {
    EXPECT_LT(trace.spans.size(), 12'000u);
    total += boost::json::parse(trace.spans).as_array().size();
  }
  EXPECT_EQ(total, 40u);
}

TEST(Otlp, RefusesWhatItCanNotRead) {
  const auto whole = request({span("rootspan", "", "root")});
  for (std::size_t cut = 1; cut < whole.size(); ++cut)
    EXPECT_FALSE(parse_otlp(whole.substr(0, cut), {"7"}, now)) << cut;
  EXPECT_EQ(parse_otlp("", {"7"}, now).error().detail, "Invalid OpenTelemetry format - no spans found");
  EXPECT_EQ(parse_otlp(request({span("short", "", "x")}), {"7"}, now).error().status, 422u);
  EXPECT_FALSE(parse_otlp(request({span("rootspan", "", "\xff")}), {"7"}, now)) << "not UTF-8";
  // A value inside a value inside a value …
  std::string any = pb::text("deep");
  for (int i = 0; i < 200; ++i) any = pb::bytes(5, pb::bytes(1, any));
  EXPECT_FALSE(parse_otlp(request({span("rootspan", "", "x", pb::bytes(9, pb::key_value("k", any)))}), {"7"}, now));
}

// Two bytes that are no message, behind a list that is one: each was the list once more, at each depth.
TEST(Otlp, AFieldOfAnotherTypeIsNotTheOneBeforeItOnceMore) {
  const auto with = [](const std::string& more) {
    return parse_otlp(request({span("rootspan", "", "x", more)}), {"7"}, now);
  };
  for (const auto kind : {5, 6}) {
    std::string any = pb::text("deep");
    for (int i = 0; i < 12; ++i) {
      any = pb::bytes(kind, pb::bytes(1, kind == 5 ? any : pb::key_value("k", any)));
      for (int again = 0; again < 10; ++again) any += pb::number(kind, 0);
    }
    EXPECT_FALSE(with(pb::bytes(9, pb::key_value("k", any))));
    EXPECT_FALSE(with(pb::bytes(9, pb::key_value("k", pb::fixed(kind, 0)))));
  }
  EXPECT_FALSE(with(pb::bytes(15, pb::bytes(2, "why")) + pb::number(15, 0)));
  EXPECT_TRUE(with(pb::bytes(9, pb::key_value("k", pb::bytes(5, "")))));
}

TEST(Otlp, WhatIsTakenIsReadHoweverDeepItIs) {
  for (const auto depth : {27, 28, 47, 48}) {
    std::string any = pb::text("deep"), text = "\"deep\"";
    for (int i = 0; i < depth; ++i) {
      any = pb::bytes(5, pb::bytes(1, any));
      text = "[" + text + "]";
    }
    const auto said = pb::key_value("k", any);
    const auto event = pb::fixed(1, second) + pb::bytes(2, "e") + pb::bytes(3, said);
    const auto link = pb::bytes(1, "0123456789abcdef") + pb::bytes(2, "linkspan") + pb::bytes(4, said);
    const auto traces = parse_otlp(
        request({span("rootspan", "", "root", pb::bytes(9, said) + pb::bytes(11, event) + pb::bytes(13, link))}), {"7"},
        now);
    ASSERT_TRUE(traces) << depth;
    std::size_t count = 0;
    boost::json::parse_options options;
    options.max_depth = 500;
    const auto spans = boost::json::parse(proto_spans(traces->front().spans, count), {}, options);
    ASSERT_EQ(count, 1u) << depth;
    const auto& root = spans.at(0);
    for (const auto* part : {&root, &root.at("events").at(0), &root.at("links").at(0)}) {
      const auto* value = &part->at("attributes").at(0).at("value");
      if (depth == 48) {  // one message more than its client reads
        EXPECT_EQ(value->at("string_value").as_string(), text);
        continue;
      }
      for (int i = 0; i < depth; ++i) value = &value->at("array_value").at("values").at(0);
      EXPECT_EQ(value->at("string_value"), "deep");
    }
  }
}

boost::json::value info_of_root(const std::string& key, std::string_view any,
                                const OtlpExperiment& experiment = {"7"}) {
  const auto attribute = pb::bytes(9, pb::bytes(1, key) + pb::bytes(2, any));
  const auto traces = parse_otlp(request({span("rootspan", "", "root", attribute)}), experiment, now);
  EXPECT_TRUE(traces);
  return boost::json::parse(traces->front().info);
}
std::string pairs(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string list;
  for (const auto& [key, any] : entries) list += pb::bytes(1, pb::key_value(key, any));
  return pb::bytes(6, list);
}
std::string list(const std::vector<std::string>& entries) {
  std::string out;
  for (const auto& any : entries) out += pb::bytes(1, any);
  return pb::bytes(5, out);
}

TEST(Otlp, APreviewIsOfSoManyCharactersAndOfTheTextInAMessagesParts) {
  const auto preview = [](std::string_view any) {
    return std::string(info_of_root("mlflow.spanInputs", any).at("request_preview").as_string());
  };
  const auto said = [&](const std::string& content) {
    return preview(pairs({{"messages", list({pairs({{"role", pb::text("user")}, {"content", content}})})}}));
  };
  const auto many = [](int n) {
    std::string out;
    for (int i = 0; i < n; ++i) out += "\u554f";
    return out;
  };
  EXPECT_EQ(said(pb::text(many(1000))), many(1000));
  EXPECT_EQ(said(pb::text(many(1001))), many(997) + "...");
  const auto image = pairs({{"type", pb::text("image_url")}, {"text", pb::text("no")}});
  EXPECT_EQ(said(list({image, pairs({{"type", pb::text("text")}, {"text", pb::text("hi")}})})), "hi");
  EXPECT_EQ(said(list({image, pb::text("there")})), "there");
  EXPECT_EQ(said(list({image})).substr(0, 12), R"({"messages":)");
}

// As an exporter sends it that knows texts alone; what MLflow 3.17.2 keeps was looked up in its server.
TEST(Otlp, JsonInATextIsNotWrittenTwice) {
  const auto kept = [](std::string_view any) {
    const auto attribute = pb::bytes(9, pb::bytes(1, "mlflow.spanInputs") + pb::bytes(2, any));
    const auto traces = parse_otlp(request({span("rootspan", "", "root", attribute)}), {"7"}, now);
    const auto preview = boost::json::parse(traces->front().info).at("request_preview");
    const auto spans = boost::json::parse(traces->front().spans);
    return std::pair(std::string(spans.at(0).at("attributes").at("mlflow.spanInputs").as_string()),
                     std::string(preview.as_string()));
  };
  const auto same = [](const std::string& text) { return std::pair(text, text); };
  for (const std::string json : {R"({"a":1})", "[1,2]", R"("hello")", R"( {"a":NaN})"})
    EXPECT_EQ(kept(pb::text(json)), same(json));
  EXPECT_EQ(kept(pb::text("1")), same(R"("1")"));
  EXPECT_EQ(kept(pb::text("hello")), same(R"("hello")"));
  EXPECT_EQ(kept(pb::text("{a")), same(R"("{a")"));
  EXPECT_EQ(kept(pb::text("")), same(R"("")"));
  const std::string chat = R"({"messages":[{"role":"user","content":"hi"}]})";
  EXPECT_EQ(kept(pb::text(chat)), std::pair(chat, std::string("hi")));
}

TEST(Otlp, ATagHasANameThatMlflowTakesAndAsMuchAsItKeeps) {
  const std::string prefix = "mlflow.traceTag.";
  EXPECT_FALSE(info_of_root(prefix + "a@b", pb::text("v")).at("tags").as_object().contains("a@b"));
  EXPECT_EQ(info_of_root(prefix + "a/b", pb::text("v")).at("tags").at("a/b"), "v");
  EXPECT_EQ(info_of_root(prefix + "k", pb::text(std::string(9000, 'x'))).at("tags").at("k").as_string().size(), 8000u);
}

TEST(Otlp, SaysTheNameOfTheExperimentWhereItIsKnown) {
  EXPECT_EQ(info_of_root("k", pb::text("v"), {"123456789", "shop"}).at("trace_metadata").at("assay.experiment"),
            "shop");
  EXPECT_FALSE(info_of_root("k", pb::text("v")).as_object().contains("trace_metadata"));
}

// A few bytes of a resource become as many for each of its traces.
TEST(Otlp, BoundsWhatItsTracesKeepOfTheirResource) {
  std::string scope;
  for (int i = 0; i < 100; ++i)
    scope += pb::bytes(2, pb::bytes(1, "0123456789ab" + std::to_string(1000 + i)) + pb::bytes(2, "rootspan"));
  const auto with = [&](std::size_t bytes) {
    const auto resource = pb::bytes(1, pb::bytes(1, pb::key_value("service.name", pb::text(std::string(bytes, 's')))));
    return parse_otlp(pb::bytes(1, resource + pb::bytes(2, scope)), {"7"}, now, {.tag_bytes_max = 100'000});
  };
  ASSERT_TRUE(with(900));
  EXPECT_EQ(with(900)->size(), 100u);
  EXPECT_EQ(with(1000).error().status, 413u);
}

// What was answered 200 must not be too much for its trace's row then.
TEST(Otlp, BoundsWhatOneTraceKeeps) {
  const auto with = [&](std::size_t n, std::size_t bytes) {
    std::string attributes;
    for (std::size_t i = 0; i < n; ++i)
      attributes += pb::bytes(1, pb::key_value("k" + std::to_string(i), pb::text(std::string(bytes, 's'))));
    const auto read = parse_otlp(
        pb::bytes(1, pb::bytes(1, attributes) + pb::bytes(2, pb::bytes(2, span("rootspan", "", "a")))), {"7"}, now);
    return read ? 200u : read.error().status;
  };
  EXPECT_EQ(with(1500, 10), 200u);
  EXPECT_EQ(with(2000, 10), 413u);
  EXPECT_EQ(with(1500, 3000), 413u);
}

// Two bytes each in a body, and some hundred in memory.
TEST(Otlp, BoundsHowMuchARequestIsMadeOf) {
  const OtlpLimits few{.spans_max = 1, .parts_max = 4};
  const auto status = [&](const std::string& body) {
    const auto traces = parse_otlp(body, {"7"}, now, few);
    return traces ? 200u : traces.error().status;
  };
  const auto event = pb::bytes(11, ""),
             link = pb::bytes(13, pb::bytes(1, "0123456789abcdef") + pb::bytes(2, "linkspan"));
  EXPECT_EQ(status(request({span("rootspan", "", "a", event + event + link)})), 200u) << "and a resource";
  EXPECT_EQ(status(request({span("rootspan", "", "a", event + event + link + link)})), 413u);
  EXPECT_EQ(status(request({span("rootspan", "", "a", event + event + event + link)})), 413u);
  EXPECT_EQ(status(request({span("rootspan", "", "a")}) + pb::bytes(1, "") + pb::bytes(1, "")), 200u);
  EXPECT_EQ(status(request({span("rootspan", "", "a")}) + std::string(8, '\x0a')), 400u) << "cut";
  EXPECT_EQ(status(pb::bytes(1, "") + pb::bytes(1, "") + pb::bytes(1, "") + pb::bytes(1, "") + pb::bytes(1, "")), 413u);
  EXPECT_EQ(status(request({span("rootspan", "", "a"), span("rootspa2", "", "b")})), 413u);
  const auto json_status = [&](const std::string& spans, const std::string& resources = "") {
    const auto traces = parse_otlp_json(
        R"({"resourceSpans":[{"scopeSpans":[{"spans":[)" + spans + "]}]}" + resources + "]}", {"7"}, now, few);
    return traces ? 200u : traces.error().status;
  };
  const std::string ids = R"({"traceId":"000102030405060708090a0b0c0d0e0f","spanId":"1011121314151617")";
  EXPECT_EQ(json_status(ids + R"(,"events":[{},{}],"links":[{}]})"), 200u);
  EXPECT_EQ(json_status(ids + R"(,"events":[{},{}],"links":[{},{}]})"), 413u);
  EXPECT_EQ(json_status(ids + R"(,"events":[{},{},{},{}]})"), 413u);
  EXPECT_EQ(json_status(ids + "}", ",{},{},{},{}"), 413u);
  EXPECT_EQ(json_status(ids + "}," + ids + "}"), 413u);
}

TEST(Otlp, ReadsJsonAsWell) {
  const auto traces = parse_otlp_json(
      R"({"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"000102030405060708090a0b0c0d0e0f","spanId":"1011121314151617",
        "name":"root","startTimeUnixNano":"1000000000","endTimeUnixNano":"3000000000","attributes":[{"key":"n","value":
        {"intValue":"5"}}],"status":{"code":2}}]}]}]})",
      {"7"}, now);
  ASSERT_TRUE(traces) << traces.error().detail;
  EXPECT_EQ(traces->front().trace_id, "tr-000102030405060708090a0b0c0d0e0f");
  EXPECT_EQ(boost::json::parse(traces->front().info).at("state"), "ERROR");
  EXPECT_EQ(boost::json::parse(traces->front().spans).at(0).at("attributes").at("n"), "5");
}

TEST(Otlp, WhatIsNoTimeIsRefusedByName) {
  const auto status = [](const std::string& start, const std::string& end = "5", const std::string& event = "5") {
    const auto read = parse_otlp_json(
        R"({"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"000102030405060708090a0b0c0d0e0f","spanId":"1011121314151617",
        "name":"root","startTimeUnixNano":)" +
            start + R"(,"endTimeUnixNano":)" + end + R"(,"events":[{"name":"e","timeUnixNano":)" + event + "}]}]}]}]}",
        {"7"}, now);
    return read ? std::string("ok") : read.error().detail;
  };
  EXPECT_EQ(status(R"("1000000000")"), "ok");
  EXPECT_EQ(status("1000000000"), "ok");
  EXPECT_EQ(status("null"), "ok");
  for (const auto* bad :
       {R"("1e18")", R"("-1")", "-1", "1.5", R"("99999999999999999999")", R"("9223372036854775808")", R"("")", "{}"})
    EXPECT_NE(status(bad).find("startTimeUnixNano is not"), std::string::npos) << bad;
  EXPECT_NE(status("5", "-5").find("endTimeUnixNano is not"), std::string::npos);
  EXPECT_NE(status("5", "5", "-5").find(": timeUnixNano is not"), std::string::npos);
}

TEST(Inflate, UndoesGzipAndIsBounded) {
  const auto gzip = from_base64("H4sIAAAAAAACA+3BMQEAAADCoKzrX8IUfkABAAAAAG8Ddln0TIgTAAA=");
  ASSERT_TRUE(gzip);
  const auto room = [](std::size_t) { return true; };
  EXPECT_EQ(*inflated(*gzip, "gzip", 5000, room), std::string(5000, 'a'));
  EXPECT_FALSE(inflated(*gzip, "gzip", 4999, room)) << "a few bytes that become many";
  EXPECT_FALSE(inflated("nonsense", "gzip", 1000, room));
  EXPECT_FALSE(inflated(gzip->substr(0, 10), "gzip", 1000, room));
  EXPECT_FALSE(inflated("plain", "brotli", 1000, room));
}

TEST(Inflate, TakesNoMemoryThatNobodyGivesIt) {
  const auto gzip = from_base64("H4sIAAAAAAACA+3BMQEAAADCoKzrX8IUfkABAAAAAG8Ddln0TIgTAAA=");
  ASSERT_TRUE(gzip);
  std::size_t taken = 0;
  const auto little = [&taken](std::size_t bytes) { return (taken += bytes) <= 4999; };
  EXPECT_EQ(inflated(*gzip, "gzip", 1u << 20, little).error().status, 503u);
}

}  // namespace
}  // namespace assay
