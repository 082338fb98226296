#include "storage/sinks/mlflow_otlp.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>

#include "ops/runtime/base64.hpp"
#include "ops/runtime/hex.hpp"
#include "tests/unit/storage/mlflow_sink_fixture.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;
using namespace testing_records;
using testing_records::MlflowSinkTest;

const std::string trace_id = "tr-1234567890abcdef1234567890abcdef";

// As MLflow 3.17.2 encodes it: ExportTraceServiceRequest of Span.from_dict(kept_span).to_otel_proto().
const std::string kept_span =
    R"--({"trace_id": "EjRWeJCrze8SNFZ4kKvN7w==", "span_id": "AQIDBAUGBwg=", "parent_span_id": "CAcGBQQDAgE=", "name": "ask é", "start_time_unix_nano": 1700000000006000001, "end_time_unix_nano": 1700000000050999999,)--"
    R"--("events": [{"name": "exception", "time_unix_nano": 1700000000007000000,)--"
    R"--("attributes": {"exception.message": "no", "n": 3, "list": ["a", "b"]}}],)--"
    R"--("status": {"code": "STATUS_CODE_ERROR", "message": "ValueError: no"},)--"
    R"--("attributes": {"mlflow.traceRequestId": "\"tr-1234567890abcdef1234567890abcdef\"", "mlflow.spanType": "\"LLM\"", "mlflow.spanInputs": "{\"q\": \"why?\", \"n\": [1, -2, 2.5, true, null, {}], \"m\": []}", "mlflow.spanOutputs": "\"{\\\"a\\\": 1}\"", "number": "7", "float": "1.0", "flag": "false", "nan": "NaN"},)--"
    R"--("links": [{"trace_id": "tr-000102030405060708090a0b0c0d0e0f", "span_id": "1112131415161718",)--"
    R"--("attributes": {"why": "retry"}}]})--";
const std::string clients_request =
    "0af20312ef0312ec030a101234567890abcdef1234567890abcdef12080102030405060708220808070605040302012a0661736b"
    "20c3a939818d8536fe9c971741bf323439fe9c97174a3e0a156d6c666c6f772e747261636552657175657374496412250a237472"
    "2d31323334353637383930616263646566313233343536373839306162636465664a180a0f6d6c666c6f772e7370616e54797065"
    "12050a034c4c4d4a5c0a116d6c666c6f772e7370616e496e70757473124732450a0b0a017112060a047768793f0a2d0a016e1228"
    "2a260a0218010a0b18feffffffffffffffff010a092100000000000004400a0210010a000a0232000a070a016d12022a004a200a"
    "126d6c666c6f772e7370616e4f757470757473120a0a087b2261223a20317d4a0c0a066e756d626572120218074a120a05666c6f"
    "6174120921000000000000f03f4a0a0a04666c6167120210004a100a036e616e120921000000000000f87f5a4e09c0cf9436fe9c"
    "97171209657863657074696f6e1a190a11657863657074696f6e2e6d65737361676512040a026e6f1a070a016e120218031a140a"
    "046c697374120c2a0a0a030a01610a030a01626a2c0a10000102030405060708090a0b0c0d0e0f12081112131415161718220e0a"
    "0377687912070a0572657472797a12120e56616c75654572726f723a206e6f1802";

std::string request_of(const std::string& span) {
  const auto made = mlflow::otlp_span(span, *mlflow::otlp_trace_id(trace_id));
  return made ? mlflow::otlp_request(made->field) : "none";
}

TEST(MlflowOtlp, ASpanIsEncodedAsMlflowsClientDoes) {
  EXPECT_EQ(to_hex(request_of(kept_span)), clients_request);
  const auto made = mlflow::otlp_span(kept_span, *mlflow::otlp_trace_id(trace_id));
  EXPECT_EQ(made->start_ms, 1'700'000'000'006);
  EXPECT_EQ(made->end_ms, 1'700'000'000'050);
}

TEST(MlflowOtlp, AnAttributeThatIsNoJsonIsAText) {
  EXPECT_NE(request_of(R"({"span_id":"AQIDBAUGBwg=","attributes":{"k":"{no"}})").find("\x0a\x03{no"),
            std::string::npos);
}

// It would be set again for as long as the span is said.
TEST(MlflowOtlp, ATagThatARootSpanCarriesIsTheTracesToSay) {
  const auto sent =
      request_of(R"({"span_id":"AQIDBAUGBwg=","attributes":{"mlflow.traceTag.k":"\"a\"","mlflow.traceTagged":"1"}})");
  EXPECT_EQ(sent.find("mlflow.traceTag.k"), std::string::npos);
  EXPECT_NE(sent.find("mlflow.traceTagged"), std::string::npos);
}

TEST(MlflowOtlp, WhatIsDeeperThanMlflowReadsIsJsonInAText) {
  const auto deep = [](int n) {
    const std::string value =
        std::string(static_cast<std::size_t>(n), '[') + std::string(static_cast<std::size_t>(n), ']');
    return request_of(R"({"span_id":"AQIDBAUGBwg=","attributes":{"k":")" + value + "\"}}");
  };
  EXPECT_EQ(deep(47).find("[["), std::string::npos);
  EXPECT_NE(deep(48).find("[["), std::string::npos);
}

TEST(MlflowOtlp, ASpanWithoutAnIdOfItsHasNoForm) {
  EXPECT_EQ(request_of(R"({"span_id":"s1"})"), "none");
  EXPECT_EQ(request_of("no JSON"), "none");
  EXPECT_NE(request_of(R"({"span_id":"0102030405060708"})"), "none") << "in hex, as MLflow 3.5 kept it";
}

TEST(MlflowOtlp, ATraceOfAnotherIdThanMlflowMakesHasNone) {
  EXPECT_FALSE(mlflow::otlp_trace_id("my-own-id-1"));
  EXPECT_FALSE(mlflow::otlp_trace_id("tr-1"));
  EXPECT_FALSE(mlflow::otlp_trace_id("tr-1234567890ABCDEF1234567890ABCDEF"));
  EXPECT_FALSE(mlflow::otlp_trace_id("tr-" + std::string(32, '0')));
  EXPECT_TRUE(mlflow::otlp_trace_id(trace_id));
}

class MlflowOtlpSinkTest : public MlflowSinkTest {
 protected:
  MlflowOtlpSinkTest() { mlflow_.says_version("3.17.2"); }
  static std::string span(const std::string& id, std::size_t bytes = 0, Instant start = at(0), Instant end = at(0)) {
    const auto ns = [](Instant t) { return std::to_string(t.time_since_epoch().count()) + "000000"; };
    return R"({"span_id":")" + to_base64(id) + R"(","name":")" + id + R"(","start_time_unix_nano":)" + ns(start) +
           R"(,"end_time_unix_nano":)" + ns(end) + R"(,"attributes":{"t":")" + std::string(bytes, 'x') + "\"}}";
  }
  static Record told(const std::string& spans, const std::string& more = R"(,"execution_duration":"1s")") {
    return trace(trace_id, at(0), located("", at(0)) + R"(,"state":"OK")" + more, "[" + spans + "]");
  }
  std::size_t starts() {
    const auto said = mlflow_.said();
    return static_cast<std::size_t>(std::count(said.begin(), said.end(), "POST /api/3.0/mlflow/traces"));
  }
};

TEST_F(MlflowOtlpSinkTest, SpansGoByOtlpAfterTheirTrace) {
  ASSERT_TRUE(apply({add(told(span("span0001")))}));
  ASSERT_EQ(mlflow_.otlp().size(), 1u);
  EXPECT_EQ(mlflow_.otlp()[0].first, "1");
  EXPECT_NE(mlflow_.otlp()[0].second.find("span0001"), std::string::npos);
  EXPECT_TRUE(mlflow_.artifacts().empty());
  EXPECT_TRUE(mlflow_.traces().contains(trace_id));
  EXPECT_EQ(starts(), 1u);
}

TEST_F(MlflowOtlpSinkTest, ATraceIsToldAgainWhereItsSpansWouldMoveItsTimes) {
  ASSERT_TRUE(apply({add(told(span("span0001", 0, at(0), at(1))))}));
  EXPECT_EQ(starts(), 1u);
  ASSERT_TRUE(apply({add(told(span("span0002", 0, at(0), at(2))))}));
  EXPECT_EQ(starts(), 3u);
  EXPECT_EQ(mlflow_.said().back(), "POST /api/3.0/mlflow/traces");
}

TEST_F(MlflowOtlpSinkTest, AnEarlierMlflowIsToldTheTraceAgainInAnyCase) {
  mlflow_.says_version("3.4.0");
  ASSERT_TRUE(apply({add(told(span("span0001")))}));
  EXPECT_EQ(mlflow_.otlp().size(), 1u);
  EXPECT_EQ(starts(), 2u);
}

TEST_F(MlflowOtlpSinkTest, AnMlflowThatIsOlderOrDoesNotSayGetsTheArtifact) {
  for (const std::string version : {"3.3.9", "2.22.0", "three", ""}) {
    mlflow_.says_version(version);
    open();
    ASSERT_TRUE(apply({add(told(span("span0001")))}));
    EXPECT_TRUE(mlflow_.otlp().empty()) << version;
    EXPECT_EQ(mlflow_.artifacts().size(), 1u) << version;
  }
}

TEST_F(MlflowOtlpSinkTest, AnMlflowWhoseStoreTakesNoSpansGetsTheArtifactAndIsNotAskedForEach) {
  mlflow_.takes_no_otlp();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(apply({add(told(span("span000" + std::to_string(i))))}));
  const auto said = mlflow_.said();
  EXPECT_EQ(std::count(said.begin(), said.end(), "POST /v1/traces"), 1);
  EXPECT_EQ(std::count(said.begin(), said.end(), "GET /version"), 1);
  EXPECT_EQ(mlflow_.artifacts().size(), 1u);
  EXPECT_TRUE(dead_.empty());
}

TEST_F(MlflowOtlpSinkTest, AfterMlflowWasAwayItIsAskedAgainWhatItIs) {
  mlflow_.says_version("3.3.0");
  ASSERT_TRUE(apply({add(told(span("span0001")))}));
  mlflow_.fault([](const test::FakeMlflow::Request&, bool) { return 1; });
  ASSERT_FALSE(apply({add(told(span("span0002")))}));
  mlflow_.fault({});
  mlflow_.says_version("3.17.2");
  ASSERT_TRUE(apply({}));
  ASSERT_EQ(mlflow_.otlp().size(), 1u);
  EXPECT_NE(mlflow_.otlp()[0].second.find("span0001"), std::string::npos) << "all of them";
}

TEST_F(MlflowOtlpSinkTest, ATraceOfAnIdOfItsOwnGetsTheArtifact) {
  ASSERT_TRUE(apply({add(ok_trace("tr-1"))}));
  EXPECT_TRUE(mlflow_.otlp().empty());
  EXPECT_EQ(mlflow_.artifacts().size(), 1u);
}

TEST_F(MlflowOtlpSinkTest, ALongTraceGoesInSeveralRequestsAndThenWhatComesLaterAlone) {
  config_.spans.request_bytes_max = 600'000;
  config_.spans.bytes_max = 600'000;
  answer_max_ = 30s;
  open();
  std::string spans;
  for (int i = 0; i < 5; ++i) spans += (i ? "," : "") + span("span000" + std::to_string(i), 250'000);
  ASSERT_TRUE(apply({add(told(spans))}));
  ASSERT_EQ(mlflow_.otlp().size(), 3u);
  clock_ += 1h;
  ASSERT_TRUE(apply({add(told(span("span0009")))}));
  ASSERT_EQ(mlflow_.otlp().size(), 4u);
  const auto last = mlflow_.otlp().back().second;
  EXPECT_LT(last.size(), 1'000u);
  EXPECT_NE(last.find("span0009"), std::string::npos);
  open();  // of another process
  ASSERT_TRUE(apply({add(told(span("span000a")))}));
  EXPECT_EQ(mlflow_.otlp().size(), 7u) << "all of them once more";
}

TEST_F(MlflowOtlpSinkTest, SpansThatMlflowRefusesAreADeadLetterInItsWords) {
  mlflow_.fault([](const test::FakeMlflow::Request& request, bool after) {
    return after && request.path == "/v1/traces" ? 400 : 0;
  });
  ASSERT_TRUE(apply({add(told(span("span0001")))}));
  ASSERT_EQ(dead_.size(), 1u);
  EXPECT_EQ(dead_[0].detail, "MLflow answered 400 INTERNAL_ERROR: fault");
}

TEST_F(MlflowOtlpSinkTest, WhereSomethingLetsNobodyThroughToThatPathTheArtifactIsPut) {
  for (const int status : {401, 403}) {
    mlflow_.fault([status](const test::FakeMlflow::Request& request, bool after) {
      return !after && request.path == "/v1/traces" ? status : 0;
    });
    open();
    ASSERT_TRUE(apply({add(told(span("span0001")))}));
    EXPECT_TRUE(mlflow_.otlp().empty());
    EXPECT_EQ(mlflow_.artifacts().size(), 1u);
  }
  EXPECT_TRUE(dead_.empty());
}

TEST_F(MlflowOtlpSinkTest, AVersionThatCouldNotBeAskedIsAskedAgainTheNextTime) {
  std::atomic<int> asked = 0;
  mlflow_.fault([&asked](const test::FakeMlflow::Request& request, bool after) {
    return !after && request.path == "/version" && asked++ == 0 ? 502 : 0;
  });
  ASSERT_TRUE(apply({add(told(span("span0001")))}));
  EXPECT_TRUE(mlflow_.otlp().empty());
  ASSERT_TRUE(apply({add(told(span("span0002")))}));
  EXPECT_EQ(mlflow_.otlp().size(), 1u);
}

TEST_F(MlflowOtlpSinkTest, AnAssessmentAloneCostsWhatItDid) {
  ASSERT_TRUE(apply({add(told(span("span0001")))}));
  const auto before = mlflow_.said().size();
  ASSERT_TRUE(apply({add(feedback("a-1", trace_id, at(3), "x", "true"))}));
  EXPECT_EQ(mlflow_.said().size() - before, 3u) << "POST, and to tag the trace GET and PATCH";
}

TEST_F(MlflowOtlpSinkTest, WhatMlflowDidNotForeseeIsTriedAgain) {
  std::atomic<int> sent = 0;
  mlflow_.fault([&sent](const test::FakeMlflow::Request& request, bool after) {
    return after && request.path == "/v1/traces" && sent++ == 0 ? 422 : 0;
  });
  (void)apply({add(told(span("span0001")))});
  clock_ += 1s;
  ASSERT_TRUE(apply({}));
  EXPECT_TRUE(dead_.empty());
  EXPECT_EQ(mlflow_.otlp().size(), 2u);
}

}  // namespace
}  // namespace assay
