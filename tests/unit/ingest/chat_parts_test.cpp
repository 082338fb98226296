// The pure parts of chat: what is read, what is written.
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "ingest/chat/chat_events.hpp"
#include "ingest/chat/chat_request.hpp"
#include "ingest/chat/chat_trace.hpp"
#include "ingest/chat/openai_chunk.hpp"
#include "ingest/chat/sse_parser.hpp"
#include "storage/records/utf8.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;
namespace json = boost::json;

const Instant t0 = *parse_time("2026-11-23T15:57:31.547Z");

std::vector<std::string> events_of(std::string_view bytes, std::size_t cut) {
  SseParser parser;
  std::vector<std::string> out;
  for (std::size_t at = 0; at < bytes.size(); at += cut) {
    EXPECT_TRUE(parser.feed(bytes.substr(at, cut)));
    while (auto event = parser.next()) out.push_back(*event);
  }
  return out;
}

TEST(SseParser, ReadsTheSameEventsWhereverTheBytesAreCut) {
  const std::string_view bytes =
      "\xEF\xBB\xBF: hello\ndata: one\n\nevent: x\r\nid: 1\r\ndata: two\r\ndata:  lines\r\n\r\n\n\ndata\rdata\r\r"
      "retry: 5\n\ndata:{\"a\":1}\n\ndata: unfinished";
  const std::vector<std::string> expected{"one", "two\n lines", "\n", "{\"a\":1}"};
  for (std::size_t cut = 1; cut <= bytes.size(); ++cut) EXPECT_EQ(events_of(bytes, cut), expected) << cut;
}

TEST(SseParser, RefusesAnEventOverItsBound) {
  SseParser parser(100);
  EXPECT_TRUE(parser.feed("data: " + std::string(80, 'x')));
  EXPECT_FALSE(parser.feed(std::string(80, 'x')));
  SseParser many_lines(100);
  bool ok = true;
  for (int i = 0; i < 50 && ok; ++i) ok = many_lines.feed("data: xxxxx\n");
  EXPECT_FALSE(ok);
}

TEST(OpenAiChunk, IsOfTheFirstChoiceWhereThereAreSeveral) {
  const auto several = parse_openai_chunk(
      R"({"choices":[{"index":1,"delta":{"content":"B"}},{"index":0,"delta":{"content":"A"},"finish_reason":"stop"}]})");
  ASSERT_TRUE(several);
  EXPECT_EQ(several->content, "A");
  ASSERT_EQ(several->choices.size(), 2u);
  EXPECT_FALSE(several->choices[0].finished);
  EXPECT_TRUE(several->choices[1].finished);
  const auto nameless =
      parse_openai_chunk(R"({"choices":[{"index":null,"delta":{"content":"A"}},{"delta":{"content":"B"}}]})");
  ASSERT_TRUE(nameless);
  EXPECT_EQ(nameless->content, "A");
  EXPECT_EQ(nameless->choices.at(1).index, 1);
}

TEST(OpenAiChunk, IsCutWhereItsFirstChoiceEndsAtALimit) {
  const auto is_cut = [](std::string_view json) { return parse_openai_chunk(json)->is_cut(); };
  EXPECT_TRUE(is_cut(R"({"choices":[{"delta":{},"finish_reason":"length"}]})"));
  EXPECT_TRUE(is_cut(R"({"choices":[{"finish_reason":"length","index":0,"message":{"content":"half"}}]})"));
  EXPECT_FALSE(is_cut(R"({"choices":[{"index":1,"delta":{},"finish_reason":"length"}]})"));
  EXPECT_FALSE(is_cut(R"({"choices":[{"delta":{},"finish_reason":"stop"}]})"));
  EXPECT_FALSE(is_cut(R"({"choices":[{"delta":{},"finish_reason":7}]})"));
  EXPECT_FALSE(is_cut(R"({"choices":[{"delta":{},"finish_reason":null}]})"));
}

TEST(OpenAiChunk, ACallOfAToolWhoseIndexIsNoNumberIsTheNextOne) {
  const auto chunk = parse_openai_chunk(
      R"({"choices":[{"message":{"content":null,"tool_calls":[)"
      R"({"index":null,"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}},{"index":"x","id":"c2"}]}}]})");
  ASSERT_TRUE(chunk) << chunk.error().reason;
  ASSERT_EQ(chunk->tool_calls.size(), 2u);
  EXPECT_EQ(chunk->tool_calls[0].index, 0);
  EXPECT_EQ(chunk->tool_calls[0].id + " " + chunk->tool_calls[0].name + chunk->tool_calls[0].arguments, "c1 f{}");
  EXPECT_EQ(chunk->tool_calls[1].index, 1);
}

TEST(OpenAiChunk, GivesTheContentAndWhetherItIsTheLast) {
  const auto chunk =
      parse_openai_chunk(R"({"id":"1","choices":[{"index":0,"delta":{"content":"H\u00e9"},"finish_reason":null}]})");
  ASSERT_TRUE(chunk);
  EXPECT_EQ(chunk->content, "H\u00e9");
  EXPECT_FALSE(chunk->choices.at(0).finished);
  EXPECT_TRUE(parse_openai_chunk(R"({"choices":[{"delta":{},"finish_reason":"stop"}]})")->choices.at(0).finished);
  EXPECT_EQ(parse_openai_chunk(R"({"choices":[{"delta":{"role":"assistant","content":null}}]})")->content, "");
  EXPECT_EQ(
      parse_openai_chunk(R"({"choices":[{"finish_reason":"stop","message":{"role":"assistant","content":"all"}}]})")
          ->content,
      "all");
  EXPECT_EQ(parse_openai_chunk(R"({"choices":[],"usage":{"completion_tokens":3}})")->content, "");
  EXPECT_EQ(parse_openai_chunk(R"({"usage":null})")->content, "");
  EXPECT_EQ(parse_openai_chunk(R"({"choices":[],"usage":{"completion_tokens":3}})")->tokens, 3u);
  EXPECT_FALSE(parse_openai_chunk(R"({"choices":[],"usage":{"completion_tokens":"many"}})")->tokens);
  EXPECT_FALSE(parse_openai_chunk(R"({"choices":[],"usage":[1]})")->tokens);
}

TEST(OpenAiChunk, ARefusalIsTheContentOfWhatHasNone) {
  const auto content = [](std::string_view delta) {
    return parse_openai_chunk(R"({"choices":[{"delta":)" + std::string(delta) + "}]}")->content;
  };
  EXPECT_EQ(content(R"({"refusal":"I cannot"})"), "I cannot");
  EXPECT_EQ(content(R"({"content":null,"refusal":"I cannot"})"), "I cannot");
  EXPECT_EQ(content(R"({"content":"a","refusal":null})"), "a");
  EXPECT_EQ(content(R"({"refusal":{"of":"another form"},"content":"a"})"), "a");
}

TEST(OpenAiChunk, GivesTheErrorInWords) {
  const auto reason = [](std::string_view text) {
    const auto chunk = parse_openai_chunk(text);
    return chunk ? std::string("no failure") : chunk.error().reason;
  };
  EXPECT_EQ(reason(R"({"error":{"message":"overloaded","type":"x"}})"), "the model failed: overloaded");
  EXPECT_EQ(reason(R"({"error":"out of memory"})"), "the model failed: out of memory");
  EXPECT_EQ(reason(R"({"error":{}})"), "the model failed");
  EXPECT_EQ(reason(R"({"error":null,"choices":[]})"), "no failure");
  for (const auto* text : {"", "[]", "{", "null", R"({"choices":{}})", R"({"choices":[1]})",
                           R"({"choices":[{"delta":{"content":5}}]})", "\xff"})
    EXPECT_EQ(reason(text), "the model's answer is not in OpenAI's format") << text;
}

TEST(OpenAiFailure, QuotesTheModelExceptAboutCredentials) {
  EXPECT_EQ(openai_failure(400, R"({"error":{"message":"no such model"}})").reason,
            "the model answered 400: no such model");
  EXPECT_EQ(openai_failure(422, R"({"detail":"bad"})").reason, "the model answered 422: bad");
  EXPECT_EQ(openai_failure(500, "<html>").reason, "the model answered 500");
  EXPECT_EQ(openai_failure(401, R"({"error":{"message":"Incorrect API key: sk-1"}})").reason,
            "the model refused our credentials");
  EXPECT_EQ(openai_failure(429, "{}").status, 503u);
  EXPECT_EQ(openai_failure(500, "{}").status, 502u);
}

TEST(Utf8Prefix, EndsBetweenTwoCharacters) {
  EXPECT_EQ(utf8_prefix("a\u00e9b", 2), "a");
  EXPECT_EQ(utf8_prefix("a\u00e9b", 3), "a\u00e9");
  EXPECT_EQ(utf8_prefix("abc", 3), "abc");
  EXPECT_EQ(utf8_prefix("\U0001F600", 3), "");
}

TEST(ChatRequest, IsAMessageAndTags) {
  const auto chat = parse_chat_body(R"({"message":"hi \u00e9","tags":{"env":"prod","k":"v"},"model":"ignored"})");
  ASSERT_TRUE(chat);
  EXPECT_EQ(chat->message, "hi \u00e9");
  EXPECT_EQ(chat->tags, (std::map<std::string, std::string>{{"env", "prod"}, {"k", "v"}}));
  EXPECT_TRUE(parse_chat_body(R"({"message":"x","tags":null})"));
}

TEST(ChatRequest, IsRefusedInWordsThatNameTheField) {
  const auto said = [](const std::string& body) {
    const auto chat = parse_chat_body(body);
    if (chat) return std::string("accepted");
    return std::to_string(chat.error().status) + " " + chat.error().field + ": " + chat.error().reason;
  };
  EXPECT_EQ(said(R"({})"), "422 message: is missing");
  EXPECT_EQ(said(R"({"message":""})"), "422 message: must not be empty");
  EXPECT_EQ(said(R"({"message":5})"), "422 message: must be a string");
  EXPECT_EQ(said(R"({"message":null})"), "422 message: must be a string");
  EXPECT_EQ(said(R"({"message":"a","message":"b"})"), "422 message: is given twice");
  EXPECT_EQ(said(R"({"message":"\ud83d"})"), "422 message: is not valid text");
  EXPECT_EQ(said(R"({"message":"a","tags":[]})"), "422 tags: must be an object of strings");
  EXPECT_EQ(said(R"({"message":"a","tags":{"n":1}})"), "422 tags.n: must be a string");
  EXPECT_EQ(said(R"({"message":"a","tags":{"n":"1","n":"2"}})"), "422 tags.n: is given twice");
  EXPECT_EQ(said(R"({"message":"a","tags":{"n":"\u0000"}})"), "422 tags.n: has U+0000");
  EXPECT_EQ(said(R"({"message":"a","tags":{"\u0000":"1"}})"), "422 tags: has a key with U+0000");
  EXPECT_EQ(said(R"({"message":"a","tags":{"mlflow.traceName":"x"}})"), "422 tags.mlflow.traceName: is reserved");
  EXPECT_EQ(said(R"({"message":"a","tags":{"k":")" + std::string(5001, 'x') + R"("}})"),
            "422 tags.k: is longer than 5000 bytes");
  EXPECT_EQ(said("[]"), "422 body: it is not an object");
  EXPECT_EQ(said(""), "400 body: it is empty, but JSON is needed");
  EXPECT_EQ(said("{\"message\":\"\xff\"}"), "400 body: it is not UTF-8");
  EXPECT_TRUE(said(R"({"message":"a")").starts_with("400 body: it is not JSON: "));
  EXPECT_TRUE(said(R"({"message":"a"} x)").starts_with("400 body: it is not JSON: "));
  std::string many = R"({"message":"a","tags":{)";
  for (int i = 0; i < 33; ++i) many += (i ? ",\"" : "\"") + std::to_string(i) + "\":\"x\"";
  EXPECT_EQ(said(many + "}}"), "422 tags: has more than 32 entries");
}

TEST(ChatRequest, TakesIdsFromHeadersWithinTheirBounds) {
  Request request{.body = R"({"message":"hi"})"};
  std::vector<HeaderField> headers{{"x-session-id", "s"}, {"X-USER-ID", "u"}, {"X-Client-Request-Id", "r"}};
  request.headers = headers;
  const auto chat = parse_chat_request(request);
  ASSERT_TRUE(chat);
  EXPECT_EQ(chat->caller.session + chat->caller.user + chat->caller.client_request_id, "sur");
  const std::string longest(250, 'x'), too_long(251, 'x');
  const auto refused = [&](std::vector<HeaderField> given) {
    request.headers = given;
    const auto parsed = parse_chat_request(request);
    return parsed ? std::string() : parsed.error().field + " " + parsed.error().reason;
  };
  EXPECT_EQ(refused({{"X-User-ID", longest}}), "");
  EXPECT_EQ(refused({{"X-User-ID", too_long}}), "X-User-ID it is longer than 250 bytes");
  EXPECT_EQ(refused({{"X-Client-Request-Id", ""}}), "X-Client-Request-Id it is empty");
  EXPECT_TRUE(
      refused({{"X-Client-Request-Id", "undefined"}}).starts_with("X-Client-Request-Id \"undefined\" is no id"));
  const std::string another = "tr-" + std::string(32, 'a');
  EXPECT_EQ(refused({{"X-Client-Request-Id", another}}),
            "X-Client-Request-Id it has the form of a trace's own id, and would not name this one");
  EXPECT_EQ(refused({{"X-Client-Request-Id", "tr-mine"}}), "");
  EXPECT_EQ(refused({{"X-User-ID", another}}), "");
  EXPECT_EQ(refused({{"X-User-ID", "null"}}), "");  // somebody's name
  EXPECT_EQ(refused({{"X-Session-ID", "a"}, {"X-Session-ID", "b"}}), "X-Session-ID is given twice");
  EXPECT_EQ(refused({{"X-Session-ID", "\xff"}}), "X-Session-ID it is not UTF-8");
}

ChatTrace a_chat() {
  return {.trace_id = "tr-2103469fbbca07d18be9f1c4350ca138",
          .span_id = "dbbb259166b0f99a",
          .client_request_id = "req-\"1\"",
          .experiment_id = "7",
          .name = "chat",
          .message = "say \"hi\"",
          .session = "s-1",
          .user = "u-1",
          .tags = {{"env", "prod"}},
          .started_at = t0};
}

TEST(ChatTrace, OpensInProgressWithoutASpan) {
  const auto record = opened_trace(a_chat());
  const auto info = json::parse(record.info).as_object();
  EXPECT_EQ(record.spans, "");
  EXPECT_EQ(info.at("state").as_string(), "IN_PROGRESS");
  EXPECT_EQ(info.at("client_request_id").as_string(), "req-\"1\"");
  EXPECT_EQ(info.at("trace_location").at("mlflow_experiment").at("experiment_id").as_string(), "7");
  EXPECT_EQ(info.at("trace_location").at("type").as_string(), "MLFLOW_EXPERIMENT");
  EXPECT_EQ(info.at("request_time").as_string(), "2026-11-23T15:57:31.547Z");
  EXPECT_EQ(info.at("request_preview").as_string(), R"({"message":"say \"hi\""})");
  EXPECT_EQ(info.at("trace_metadata").at("mlflow.trace.session").as_string(), "s-1");
  EXPECT_EQ(info.at("trace_metadata").at("mlflow.trace.user").as_string(), "u-1");
  EXPECT_EQ(info.at("tags").at("mlflow.traceName").as_string(), "chat");
  EXPECT_EQ(info.at("tags").at("env").as_string(), "prod");
  EXPECT_FALSE(info.contains("execution_duration"));
}

TEST(ChatTrace, EndsWithARootSpanThatSaysWhatWasAnsweredAndWhen) {
  const ChatOutcome outcome{
      .response = "hi\n", .tokens = 2, .first_token_at = t0 + 10ms, .last_token_at = t0 + 40ms, .ended_at = t0 + 48ms};
  const auto record = ended_trace(a_chat(), outcome);
  const auto info = json::parse(record.info).as_object();
  EXPECT_EQ(info.at("state").as_string(), "OK");
  EXPECT_EQ(info.at("execution_duration").as_string(), "0.048s");
  EXPECT_EQ(info.at("response_preview").as_string(), R"({"response":"hi\n"})");
  EXPECT_FALSE(info.contains("tags"));  // somebody may have changed them since it began
  const auto spans = json::parse(record.spans).as_array();
  ASSERT_EQ(spans.size(), 1u);
  const auto& span = spans[0].as_object();
  EXPECT_EQ(span.at("trace_id").as_string(), "IQNGn7vKB9GL6fHENQyhOA==");
  EXPECT_EQ(span.at("span_id").as_string(), "27slkWaw+Zo=");
  EXPECT_TRUE(span.at("parent_span_id").is_null());
  EXPECT_EQ(span.at("end_time_unix_nano").to_number<std::int64_t>() -
                span.at("start_time_unix_nano").to_number<std::int64_t>(),
            48'000'000);
  EXPECT_EQ(span.at("status").at("code").as_string(), "STATUS_CODE_OK");
  EXPECT_TRUE(span.at("events").as_array().empty());
  const auto attribute = [&](const char* name) {
    return json::parse(span.at("attributes").at(name).as_string());  // each is JSON in a string
  };
  EXPECT_EQ(attribute("mlflow.traceRequestId").as_string(), a_chat().trace_id);
  EXPECT_EQ(attribute("mlflow.spanInputs").at("message").as_string(), a_chat().message);
  EXPECT_EQ(attribute("mlflow.spanOutputs").at("response").as_string(), "hi\n");
  EXPECT_EQ(attribute("response").as_string(), "hi\n");
  EXPECT_EQ(attribute("token_count"), 2);
  EXPECT_EQ(attribute("first_token_time").as_string(), "2026-11-23T15:57:31.557Z");
  EXPECT_EQ(attribute("last_token_time").as_string(), "2026-11-23T15:57:31.587Z");
  EXPECT_EQ(attribute("client_request_id").as_string(), "req-\"1\"");
  EXPECT_EQ(attribute("session_id").as_string(), "s-1");
  EXPECT_TRUE(parse_trace_record(*to_record(record).value));
}

TEST(ChatTrace, AFailureIsStateStatusEventAndAttribute) {
  const ChatOutcome outcome{.response = "ha", .tokens = 1, .ended_at = t0 + 2s, .error = "the model failed"};
  const auto record = ended_trace(a_chat(), outcome);
  const auto info = json::parse(record.info).as_object();
  EXPECT_EQ(info.at("state").as_string(), "ERROR");
  EXPECT_EQ(info.at("execution_duration").as_string(), "2s");
  const auto span = json::parse(record.spans).as_array()[0].as_object();
  EXPECT_EQ(span.at("status").at("code").as_string(), "STATUS_CODE_ERROR");
  EXPECT_EQ(span.at("status").at("message").as_string(), "the model failed");
  EXPECT_EQ(span.at("events").as_array()[0].at("name").as_string(), "exception");
  EXPECT_EQ(span.at("attributes").at("error").as_string(), "\"the model failed\"");
  EXPECT_EQ(span.at("attributes").at("response").as_string(), "\"ha\"");
}

TEST(ChatTrace, OfWhichNobodyKnowsWhetherItBeganSaysItsTagsAtItsEnd) {
  const ChatOutcome outcome{.ended_at = t0, .error = "it could not be recorded", .begun = false};
  const auto info = json::parse(ended_trace(a_chat(), outcome).info).as_object();
  EXPECT_EQ(info.at("tags").at("env").as_string(), "prod");
}

TEST(ChatTrace, PreviewsFitMlflowsColumnsAndStayUtf8) {
  auto chat = a_chat();
  chat.message.clear();
  for (int i = 0; i < 1000; ++i) chat.message += "\u00e9";
  const auto preview = std::string(json::parse(opened_trace(chat).info).at("request_preview").as_string());
  EXPECT_LE(preview.size(), preview_bytes_max);
  EXPECT_GT(preview.size(), preview_bytes_max - 4);
}

TEST(ChatTrace, ReadsBackAsTheJournalKeptIt) {
  const auto back = parse_chat_trace(to_json(a_chat()));
  ASSERT_TRUE(back);
  EXPECT_EQ(to_json(*back), to_json(a_chat()));
  EXPECT_EQ(
      to_json(a_chat()),
      R"({"v":1,"trace_id":"tr-2103469fbbca07d18be9f1c4350ca138","span_id":"dbbb259166b0f99a",)"
      R"("client_request_id":"req-\"1\"","experiment_id":"7","name":"chat","started_at":"2026-11-23T15:57:31.547Z",)"
      R"("message":"say \"hi\"","session":"s-1","user":"u-1","tags":{"env":"prod"}})");
  EXPECT_FALSE(parse_chat_trace(R"({"v":2})"));
  EXPECT_FALSE(parse_chat_trace(R"({"v":1})"));
  EXPECT_FALSE(parse_chat_trace("x"));
}

TEST(ChatEvents, AreWhatTheGuidesFrontEndsRead) {
  EXPECT_EQ(token_json("a \"b\"\n"), R"({"type":"token","content":"a \"b\"\n"})");
  EXPECT_EQ(done_json("tr-1", "req-1", ""), R"({"type":"done","trace_id":"tr-1","client_request_id":"req-1"})");
  for (const std::string how : {"stopped", "cut"})
    EXPECT_EQ(done_json("tr-1", "req-1", how),
              R"({"type":"done","trace_id":"tr-1","client_request_id":"req-1",")" + how + R"(":true})");
  EXPECT_EQ(error_json("no"), R"({"type":"error","error":"no"})");
  EXPECT_EQ(failed_json("no", "tr-1", "req-1", "acap_1"),
            R"({"type":"error","error":"no","trace_id":"tr-1","client_request_id":"req-1","feedback_token":"acap_1"})");
  EXPECT_EQ(failed_json("no", "tr-1", "req-1", ""),
            R"({"type":"error","error":"no","trace_id":"tr-1","client_request_id":"req-1"})");
  EXPECT_EQ(sse_event(7, "{}"), "id: 7\ndata: {}\n\n");
  EXPECT_EQ(events_of(sse_prelude(7, std::chrono::seconds{2}), 3).size(), 0u) << "no event for the guide's readers";
  EXPECT_NE(sse_prelude(7, std::chrono::seconds{2}).find("retry: 2000\nid: 7\n\n"), std::string::npos);
  EXPECT_EQ(events_of(heartbeat_event, 3).size(), 0u);
}

}  // namespace
}  // namespace assay
