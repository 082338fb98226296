// The bytes of every record format: what is written is what stands in tests/golden, and what stands there is read.
#include <gtest/gtest.h>

#include "storage/log/embedded_format.hpp"
#include "storage/records/assessment_record.hpp"
#include "storage/records/dead_letter_record.hpp"
#include "storage/records/parked_record.hpp"
#include "storage/records/remains_record.hpp"
#include "storage/records/request_record.hpp"
#include "storage/records/trace_record.hpp"
#include "tests/support/golden.hpp"

namespace assay {
namespace {

using test::golden;

const Instant golden_time = *parse_time("2026-11-23T15:57:31.547Z");

FeedbackRecord feedback_of(Op op, Target target, std::vector<FeedbackItem> items) {
  return {.op = op, .target = std::move(target), .accepted_at = golden_time, .items = std::move(items)};
}

FeedbackItem accuracy() { return {"a-1", "a-1", R"({"assessment_id":"a-1","assessment_name":"user_accuracy"})"}; }

void expect_feedback(const std::string& file, const FeedbackRecord& feedback) {
  SCOPED_TRACE(file);
  EXPECT_EQ(*to_record(feedback).value, golden(file));
  const auto read = parse_feedback_record(golden(file));
  ASSERT_TRUE(read) << read.error().reason;
  EXPECT_EQ(*to_record(*read).value, golden(file));
}

TEST(Golden, Feedback) {
  auto create =
      feedback_of(Op::create, {Target::Kind::client_request_id, "req-\"1\""},
                  {accuracy(), {"a-2", "a-2", R"({"assessment_id":"a-2","assessment_name":"user_relevance"})"}});
  create.body_hash = 0xabc;
  create.idempotent = true;
  expect_feedback("feedback_create.v1.json", create);

  auto replay = feedback_of(Op::create, {Target::Kind::trace_id, "tr-1"}, {accuracy()});
  replay.attempt = 2;
  expect_feedback("feedback_replay.v1.json", replay);
  auto change =
      feedback_of(Op::update, {Target::Kind::trace_id, "tr-1"}, {{"u-1", "a-1", R"({"assessment_id":"a-1"})"}});
  change = replay_of(std::move(change), change.accepted_at + std::chrono::hours(24));
  expect_feedback("feedback_replayed_change.v1.json", change);

  auto update = feedback_of(
      Op::update, {Target::Kind::trace_id, "tr-1"},
      {{"u-1", "a-1",
        R"({"assessment_id":"a-1","last_update_time":"2026-11-23T15:57:31.547Z","rationale":"für später"})"}});
  update.body_hash = 7;
  update.idempotent = true;
  expect_feedback("feedback_update.v1.json", update);

  expect_feedback("feedback_delete.v1.json", feedback_of(Op::erase, {Target::Kind::client_request_id, "req-1"},
                                                         {{"u-2", "a-1", R"({"assessment_id":"a-1"})"}}));
}

void expect_parked(const std::string& file, const ParkedRecord& parked) {
  SCOPED_TRACE(file);
  EXPECT_EQ(parked_value(parked), golden(file));
  const auto read = parse_parked_record(golden(file));
  ASSERT_TRUE(read) << read.error().reason;
  EXPECT_EQ(parked_value(*read), golden(file));
}

TEST(Golden, Parked) {
  const auto expires = golden_time + std::chrono::hours(24);
  expect_parked("parked_create.v1.json", {.target = {Target::Kind::client_request_id, "req-1"},
                                          .accepted_at = golden_time,
                                          .expires_at = expires,
                                          .order = items_per_record_max,
                                          .body_hash = 7,
                                          .idempotent = true,
                                          .item = accuracy()});
  expect_parked("parked_update.v1.json", {.op = Op::update,
                                          .target = {Target::Kind::trace_id, "tr-1"},
                                          .behind = "req-1",
                                          .accepted_at = golden_time,
                                          .expires_at = expires,
                                          .order = items_per_record_max + 1,
                                          .item = {"u-1", "a-1", R"({"assessment_id":"a-1","rationale":"x"})"}});

  ParkedRecord taken_back{.target = {Target::Kind::client_request_id, "req-1"},
                          .accepted_at = golden_time,
                          .expires_at = expires,
                          .order = items_per_record_max,
                          .body_hash = 7,
                          .idempotent = true};
  taken_back.item = {"a-1", "a-1",
                     R"({"assessment_id":"a-1","assessment_name":"tone","source":{"source_type":"HUMAN","source_id":)"
                     R"("ana"},"create_time":"2026-11-23T15:57:31.547Z","last_update_time":"2026-11-23T15:57:31.547Z",)"
                     R"("feedback":{"value":"words"},"rationale":"words","metadata":{"k":"words"},"span_id":"s"})"};
  withdraw(taken_back);
  expect_parked("parked_withdrawn.v1.json", taken_back);
}

TEST(Golden, Remains) {
  const auto until = golden_time + std::chrono::hours(24);
  const auto expect = [](const std::string& file, const Remains& remains) {
    SCOPED_TRACE(file);
    EXPECT_EQ(remains_value(remains), golden(file));
    const auto read = parse_remains_record(golden(file));
    ASSERT_TRUE(read) << read.error().reason;
    EXPECT_EQ(remains_value(*read), golden(file));
  };
  expect("remains_dead.v1.json", {.assessment_id = "a-1", .until = until, .letters = {"a-1", "u-1"}});
  expect("remains_taken_back.v1.json", {.assessment_id = "a-1", .until = until, .taken_back = true});
}

void expect_assessment(const std::string& file, const FeedbackItem& item, Op op, const Target& target,
                       bool withdrawn = false) {
  SCOPED_TRACE(file);
  EXPECT_EQ(*forward(item, op, target, golden_time, "tr-9", withdrawn).value, golden(file));
  const auto read = parse_assessment_record(golden(file));
  ASSERT_TRUE(read) << read.error().reason;
  EXPECT_EQ(read->op, op);
  EXPECT_EQ(read->trace_id, "tr-9");
  EXPECT_EQ(read->assessment_id, item.assessment_id);
  EXPECT_EQ(read->record_id, item.record_id);
  EXPECT_EQ(read->accepted_at, golden_time);
  EXPECT_EQ(read->client_request_id, target.kind == Target::Kind::client_request_id ? target.id : "");
}

TEST(Golden, Assessment) {
  expect_assessment("assessment_create.v1.json", accuracy(), Op::create,
                    {Target::Kind::client_request_id, "req-\"1\""});
  expect_assessment("assessment_update.v1.json", {"u-1", "a-1", R"({"assessment_id":"a-1","rationale":"x"})"},
                    Op::update, {Target::Kind::trace_id, "tr-9"});
  expect_assessment("assessment_withdrawn.v1.json",
                    {"a-1", "a-1", R"({"assessment_id":"a-1","assessment_name":"tone","feedback":{"value":""}})"},
                    Op::create, {Target::Kind::trace_id, "tr-9"}, true);
  expect_assessment("assessment_delete.v1.json", {"u-2", "a-1", R"({"assessment_id":"a-1"})"}, Op::erase,
                    {Target::Kind::trace_id, "tr-9"});
}

// Not text, so not files: the keys and values of the embedded log.
TEST(Golden, EmbeddedLog) {
  using namespace std::string_literals;
  EXPECT_EQ(embedded::key_of(3, 0x0102), "\0\0\0\3\0\0\0\0\0\0\1\2"s);
  EXPECT_EQ(embedded::value_of({.stream = Stream::feedback, .key = "key", .value = "v"}), "\0\0\0\3key\1v"s);
  EXPECT_EQ(embedded::value_of({.stream = Stream::feedback, .key = "key"}), "\0\0\0\3key\0"s);
  EXPECT_EQ(embedded::first_key({Stream::feedback, 3}), "first/feedback/3");
  EXPECT_EQ(embedded::mark_prefix({Stream::traces, 3}), "mark/traces/3/");
}

void expect_dead(const std::string& file, const DeadLetter& dead) {
  SCOPED_TRACE(file);
  EXPECT_EQ(*to_record(dead).value, golden(file));
  const auto read = parse_dead_letter(golden(file));
  ASSERT_TRUE(read) << read.error().reason;
  EXPECT_EQ(*to_record(*read).value, golden(file));
}

TEST(Golden, DeadLetter) {
  auto record = feedback_of(Op::create, {Target::Kind::trace_id, "tr-1"}, {accuracy()});
  record.attempt = 2;
  expect_dead("dead_letter.v1.json", {.record_id = "a-1",
                                      .reason = std::string(dead_reason::expired),
                                      .detail = "no trace",
                                      .step = "resolve",
                                      .dead_at = golden_time,
                                      .from = {Stream::feedback, 2},
                                      .offset = 9,
                                      .record = record});
  expect_dead("dead_letter_raw.v1.json", {.record_id = "feedback/0/4",
                                          .reason = std::string(dead_reason::malformed),
                                          .detail = "v is missing",
                                          .step = "resolve",
                                          .dead_at = golden_time,
                                          .offset = 4,
                                          .raw = std::string("\0\xff{", 3)});
  expect_dead("dead_letter_taken_back.v1.json", {.record_id = "a-1",
                                                 .reason = std::string(dead_reason::expired),
                                                 .detail = "no trace; it was taken back",
                                                 .step = "resolve",
                                                 .dead_at = golden_time,
                                                 .from = {Stream::feedback, 2},
                                                 .offset = 9});
}

void expect_trace(const std::string& file, const TraceRecord& trace) {
  SCOPED_TRACE(file);
  EXPECT_EQ(*to_record(trace).value, golden(file));
  const auto read = parse_trace_record(golden(file));
  ASSERT_TRUE(read) << read.error().reason;
  EXPECT_EQ(*to_record(*read).value, golden(file));
}

TEST(Golden, Trace) {
  expect_trace("trace_upsert.v1.json", {.trace_id = "tr-1",
                                        .accepted_at = golden_time,
                                        .info = R"({"trace_id":"tr-1","state":"OK"})",
                                        .spans = R"([{"span_id":"x"}])"});
  expect_trace("trace_open_chat.v1.json", {.trace_id = "tr-1",
                                           .accepted_at = golden_time,
                                           .info = R"({"trace_id":"tr-1","state":"IN_PROGRESS"})",
                                           .ends_by = golden_time + std::chrono::hours(24)});
  expect_trace("trace_delete.v1.json", {.deleted = true, .trace_id = "tr-1", .accepted_at = golden_time});
}

// Its value is no JSON: the id that names the trace is the key, the trace_id the value.
TEST(Golden, Request) {
  const auto records = request_records("tr-1", "req-1", golden_time);
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].key + " " + *records[0].value, "tr-1 tr-1");
  EXPECT_EQ(records[1].key + " " + *records[1].value, "req-1 tr-1");
}

}  // namespace
}  // namespace assay
