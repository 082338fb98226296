#include <gtest/gtest.h>

#include "storage/records/assessment_record.hpp"
#include "storage/records/dead_letter_record.hpp"
#include "storage/records/json_writer.hpp"
#include "storage/records/logged_feedback.hpp"
#include "storage/records/parked_record.hpp"
#include "storage/records/request_record.hpp"
#include "storage/records/trace_record.hpp"

namespace assay {
namespace {

const Instant t0 = *parse_time("2026-11-23T15:57:31.547Z");

FeedbackRecord two_scores() {
  FeedbackRecord feedback{.target = {Target::Kind::client_request_id, "req-\"1\""},
                          .accepted_at = t0,
                          .body_hash = 0xabc,
                          .idempotent = true};
  feedback.items.push_back(
      {"a-1", "a-1", R"({"assessment_id":"a-1","assessment_name":"user_accuracy","feedback":{"value":1}})"});
  feedback.items.push_back(
      {"a-2", "a-2", R"({"assessment_id":"a-2","assessment_name":"user_relevance","feedback":{"value":1}})"});
  return feedback;
}

TEST(FeedbackRecord, WasNotLoggedLaterThanItsLogWasGivenIt) {
  auto feedback = two_scores();
  feedback.accepted_at = *parse_time("2099-01-01T00:00:00Z");
  const auto record = to_record(feedback);
  const auto read = [&](Instant at) {
    return *parse_logged_feedback({Stream::feedback, 0, 7, record.key, *record.value, false, at});
  };
  EXPECT_EQ(read(t0).logged_at(), t0);
  EXPECT_EQ(read(t0).accepted_at, feedback.accepted_at) << "a change is behind what it changes, by any clock";
  EXPECT_EQ(read(Instant{}).logged_at(), feedback.accepted_at) << "this log does not keep that";
  EXPECT_FALSE(parse_logged_feedback({Stream::feedback, 0, 7, "k", "{}", false, t0}));
}

TEST(FeedbackRecord, ReadsBackWhatWasWritten) {
  const auto record = to_record(two_scores());
  EXPECT_EQ(record.key, "req-\"1\"");
  ASSERT_EQ(record.identities.size(), 2u);
  EXPECT_EQ(record.identities[1].record_id, "a-2");
  const auto back = parse_feedback_record(*record.value);
  ASSERT_TRUE(back) << back.error().reason;
  EXPECT_EQ(back->target, two_scores().target);
  EXPECT_EQ(back->accepted_at, t0);
  EXPECT_EQ(back->body_hash, 0xabcu);
  EXPECT_TRUE(back->idempotent);
  ASSERT_EQ(back->items.size(), 2u);
  EXPECT_EQ(back->items[1].json, two_scores().items[1].json);
  EXPECT_EQ(back->items[1].record_id, "a-2");
}

TEST(FeedbackRecord, AReplayHasItsAttemptInTheRecordId) {
  auto feedback = two_scores();
  feedback.attempt = 2;
  const auto back = parse_feedback_record(*to_record(feedback).value);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->items[0].record_id, "a-1#2");
  EXPECT_EQ(back->items[0].assessment_id, "a-1");
}

TEST(FeedbackRecord, AReplayKeepsWhenItWasSaidAndHasIdsOfItsOwn) {
  auto replay = replay_of(two_scores(), t0 + std::chrono::hours(1));
  const auto record = to_record(replay);
  EXPECT_EQ(record.accepted_at, replay.replayed_at) << "a log that drops by time counts from then";
  ASSERT_EQ(record.identities.size(), 2u);
  EXPECT_EQ(record.identities[0].record_id, "a-1#1");
  const auto back = parse_feedback_record(*record.value);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->accepted_at, t0);
  EXPECT_EQ(back->logged_at(), t0 + std::chrono::hours(1));
  EXPECT_EQ(back->items[1].record_id, "a-2#1");
  EXPECT_EQ(replay_of(*back, t0).items[1].record_id, "a-2#2");

  FeedbackRecord change{.op = Op::update, .target = {Target::Kind::trace_id, "tr-1"}, .accepted_at = t0};
  change.items.push_back({"u#1", "a-1", R"({"assessment_id":"a-1"})"});
  change = replay_of(std::move(change), t0);
  EXPECT_EQ(change.items[0].record_id, "u#1#1") << "a number in a name is no attempt";
  EXPECT_EQ(replay_of(std::move(change), t0).items[0].record_id, "u#1#2");
}

TEST(FeedbackRecord, SaysWhatIsWrongWithPoison) {
  const auto reason = [](std::string_view bytes) { return parse_feedback_record(bytes).error().reason; };
  EXPECT_EQ(reason(R"({"v":2})"), "v is not a version this program knows");
  EXPECT_EQ(reason(R"({"v":1,"op":"upsert"})"), "op is not create, update or delete");
  EXPECT_EQ(reason(R"({"v":1,"op":"create","accepted_at":"yesterday"})"), "accepted_at is not a time");
  EXPECT_EQ(reason(R"({"v":1,"op":"create","accepted_at":"2026-11-23T15:57:31Z","items":[{"assessment_id":"a"}]})"),
            "client_request_id or trace_id is missing");
  EXPECT_EQ(reason(R"({"v":1,"op":"create","accepted_at":"2026-11-23T15:57:31Z","trace_id":"t","items":[]})"),
            "items is missing or empty");
  EXPECT_EQ(
      reason(
          R"({"v":1,"op":"delete","accepted_at":"2026-11-23T15:57:31Z","trace_id":"t","items":[{"assessment_id":"a"}]})"),
      "record_id is missing");
  // It would be forwarded as it stands, and be read by nobody.
  EXPECT_EQ(reason(R"({"v":1,"op":"create","accepted_at":"2026-11-23T15:57:31Z","trace_id":"t",)"
                   R"("items":[{"assessment_id":"a","feedback":{"value":12345678901234567890123}}]})"),
            "item is not valid JSON");
  EXPECT_FALSE(parse_feedback_record("\xff\xfe").has_value());
  EXPECT_FALSE(parse_feedback_record("").has_value());
  EXPECT_FALSE(parse_feedback_record("[1]").has_value());
}

TEST(AssessmentRecord, ForwardingAddsTheTraceAndKeepsTheRest) {
  const auto feedback = two_scores();
  const auto record = forward(feedback.items[0], Op::create, feedback.target, t0, "tr-9");
  EXPECT_EQ(record.key, "tr-9");
  EXPECT_EQ(record.headers.front().value, "a-1");
  const auto back = parse_assessment_record(*record.value);
  ASSERT_TRUE(back) << back.error().reason;
  EXPECT_EQ(back->assessment_id, "a-1");
  EXPECT_EQ(back->record_id, "a-1");
  EXPECT_EQ(back->trace_id, "tr-9");
  EXPECT_EQ(back->client_request_id, "req-\"1\"");
}

TEST(ParkedRecord, ReadsBackWhatWasWritten) {
  ParkedRecord parked{.op = Op::update,
                      .target = {Target::Kind::trace_id, "tr-1"},
                      .behind = "req-1",
                      .accepted_at = t0,
                      .expires_at = t0 + std::chrono::hours(24),
                      .order = 4097,
                      .body_hash = 7};
  parked.item = {"u-1", "a-1", R"({"assessment_id":"a-1","rationale":"x"})"};
  const auto record = to_record(parked, 3);
  EXPECT_EQ(record.partition, 3);
  const auto back = parse_parked_record(*record.value);
  ASSERT_TRUE(back) << back.error().reason;
  EXPECT_EQ(back->waits_for(), "req-1");
  EXPECT_EQ(back->item.record_id, "u-1");
  EXPECT_EQ(back->item.json, parked.item.json);
  EXPECT_EQ(back->expires_at, parked.expires_at);
  EXPECT_EQ(back->order, 4097);
  parked.item.json = R"({"assessment_id":"a-1","feedback":{"value":12345678901234567890123}})";
  EXPECT_TRUE(parse_parked_record(*to_record(parked, 3).value)) << "an earlier version let it in";
}

TEST(DeadLetter, KeepsTheRecordForAReplayAndTheBytesOfWhatWasNone) {
  auto feedback = two_scores();
  feedback.items.pop_back();
  const DeadLetter expired{.record_id = "a-1",
                           .reason = "expired",
                           .detail = "no trace",
                           .step = "resolve",
                           .dead_at = t0,
                           .from = {Stream::feedback, 2},
                           .offset = 9,
                           .record = feedback};
  const auto back = parse_dead_letter(*to_record(expired).value);
  ASSERT_TRUE(back) << back.error().reason;
  ASSERT_TRUE(back->record);
  EXPECT_EQ(back->record->items[0].json, feedback.items[0].json);
  EXPECT_EQ(back->offset, 9);
  const DeadLetter poison{.record_id = "feedback/0/4",
                          .reason = "malformed",
                          .detail = "v is missing",
                          .step = "resolve",
                          .dead_at = t0,
                          .raw = std::string("\0\xff{", 3)};
  const auto raw = parse_dead_letter(*to_record(poison).value);
  ASSERT_TRUE(raw) << raw.error().reason;
  EXPECT_EQ(raw->raw, poison.raw);
}

TEST(DeadLetterRecord, OfALongRecordFitsIntoTheLogAndSaysWhatIsLeftOut) {
  const DeadLetter poison{.record_id = "feedback/0/4",
                          .reason = "malformed",
                          .detail = std::string(100'000, 'd'),
                          .step = "resolve",
                          .dead_at = t0,
                          .raw = std::string(990'000, '\xff')};
  const auto record = to_record(poison);
  EXPECT_LT(record.value->size(), 1'000'000u);
  const auto back = parse_dead_letter(*record.value);
  ASSERT_TRUE(back) << back.error().reason;
  EXPECT_GT(back->raw.size(), 700'000u);
  EXPECT_NE(back->detail.find(" of 990000 bytes"), std::string::npos);
  EXPECT_LT(to_record(poison, 100'000).value->size(), 100'000u) << "a log that takes less";
}

TEST(TraceRecord, ReadsBackWhatWasWritten) {
  const TraceRecord trace{.trace_id = "tr-1",
                          .accepted_at = t0,
                          .info = R"({"trace_id":"tr-1","state":"OK"})",
                          .spans = R"([{"span_id":"x"}])"};
  const auto back = parse_trace_record(*to_record(trace).value);
  ASSERT_TRUE(back) << back.error().reason;
  EXPECT_EQ(back->info, trace.info);
  EXPECT_EQ(back->spans, trace.spans);
}

TEST(TraceRecord, ThatNobodyCanPlaceIsPoison) {
  const auto reason = [](const std::string& fields) {
    const auto read = parse_trace_record(
        *to_record(TraceRecord{.trace_id = "tr-1", .accepted_at = t0, .info = R"({"trace_id":"tr-1")" + fields + "}"})
             .value);
    return read ? "" : read.error().reason;
  };
  EXPECT_EQ(reason(R"(,"request_time":"2026-11-23T15:57:31.547Z","end_time":"2026-11-23T15:57:32+01:00")"), "");
  EXPECT_EQ(reason(R"(,"request_time":null,"trace_location":null)"), "");
  EXPECT_EQ(reason(R"(,"trace_location":{"mlflow_experiment":{"experiment_id":""}})"), "");
  EXPECT_EQ(reason(R"(,"request_time":"garbage")"), "trace_info.request_time is not a time");
  EXPECT_EQ(reason(R"(,"end_time":5)"), "trace_info.end_time is not a time");
  for (const auto* location : {"{}", "[]", "5", R"({"mlflow_experiment":{}})", R"({"mlflow_experiment":null})",
                               R"({"mlflow_experiment":{"experiment_id":5}})"})
    EXPECT_EQ(reason(R"(,"trace_location":)" + std::string(location)), "trace_info.trace_location has no experiment_id")
        << location;
}

TEST(Partitioner, AgreesWithJava) {
  // Three keys as Java's console producer places them among eight partitions.
  EXPECT_EQ(partition_of("abcdefghijkl", 8), 7);
  EXPECT_EQ(partition_of("000000000001", 8), 4);
  EXPECT_EQ(partition_of("k1", 8), 1);
}

TEST(JsonWriter, EscapesWhatJsonMustAndKeepsTheRest) {
  std::string out;
  JsonWriter(out)
      .begin_object()
      .field("a\"", "x\n\x01\\é")
      .field("n", 0.2)
      .field("one", 1.0)
      .field("i", -3)
      .end_object();
  EXPECT_EQ(out, "{\"a\\\"\":\"x\\n\\u0001\\\\é\",\"n\":0.2,\"one\":1.0,\"i\":-3}");
}

}  // namespace
}  // namespace assay
