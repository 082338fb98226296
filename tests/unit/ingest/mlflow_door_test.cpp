// MLflow's door in process: what a trace says of its experiment, and what is deleted.
#include <gtest/gtest.h>

#include "tests/unit/ingest/mlflow_door_fixture.hpp"

namespace assay {
namespace {

const std::string first(32, 'a'), second(32, 'b');

TEST_F(MlflowDoorTest, ATraceSaysTheNameOfItsExperimentToTheSinksAndToNobodyElse) {
  const auto shop = make("shop");
  EXPECT_EQ(start("tr-1", shop), 200u);
  EXPECT_EQ(said_.find("assay.experiment"), std::string::npos) << said_;
  EXPECT_EQ(name_of("tr-1"), "shop");
  EXPECT_EQ(spans(first, shop), 200u);
  EXPECT_EQ(name_of("tr-" + first), "shop");
  EXPECT_EQ(view_.trace_info("tr-1").value()->find("assay.experiment"), std::string::npos);
  EXPECT_EQ(start("tr-2", "0"), 200u);
  EXPECT_EQ(name_of("tr-2"), "none");
}

TEST_F(MlflowDoorTest, AnExperimentThatIsNotHereIsRefusedUnlessItMayBeOfTheMlflowOfASink) {
  EXPECT_EQ(start("tr-1", "987654"), 404u);
  EXPECT_EQ(spans(first, "987654"), 404u);
  door_.config.own_experiments = false;
  EXPECT_EQ(start("tr-1", "987654"), 200u);
  EXPECT_EQ(name_of("tr-1"), "none");
  const auto shop = make("shop");
  EXPECT_EQ(start("tr-2", shop), 200u);
  EXPECT_EQ(name_of("tr-2"), "shop");
}

TEST_F(MlflowDoorTest, SpansAreKeptWhenTheirExperimentWasDeletedAndOfTracesThatAreKnown) {
  const auto shop = make("shop");
  EXPECT_EQ(spans(first, shop), 200u);
  EXPECT_EQ(post("/api/2.0/mlflow/experiments/delete", R"({"experiment_id":")" + shop + "\"}"), 200u);
  EXPECT_EQ(start("tr-1", shop), 400u);
  EXPECT_EQ(spans(second, shop), 200u);
  EXPECT_EQ(spans(first, "987654"), 200u) << "its trace is where it was";
}

TEST_F(MlflowDoorTest, WhoDeletesUpToTheLargestNumberDeletesAll) {
  EXPECT_EQ(start("tr-1", "0"), 200u);
  EXPECT_EQ(post("/api/3.0/mlflow/traces/delete-traces",
                 R"({"experiment_id":"0","max_timestamp_millis":9223372036854775807})"),
            200u);
  EXPECT_EQ(said_, R"({"traces_deleted":1})");
  EXPECT_EQ(name_of("tr-1"), "no trace");
}

TEST_F(MlflowDoorTest, ChangesTogetherMakeNoMoreOfAnAssessmentThanACreateMay) {
  door_.config.assessment_bytes_max = 2'000;
  EXPECT_EQ(start("tr-1", "0"), 200u);
  log_.put(feedback("a-1", "tr-1", at(0), "n", "1"));
  apply();
  const auto patch = [&](const std::string& key) {
    const auto status = send(http::verb::patch, "/api/3.0/mlflow/traces/tr-1/assessments/a-1",
                             R"({"assessment":{"metadata":{")" + key + R"(":")" + std::string(900, 'x') +
                                 R"("}},"update_mask":"metadata"})");
    if (status == 200u) resolve_last();
    return status;
  };
  EXPECT_EQ(patch("a"), 200u);
  EXPECT_EQ(patch("a"), 200u);
  EXPECT_EQ(patch("b"), 400u);
  EXPECT_NE(said_.find("metadata"), std::string::npos) << said_;
}

TEST_F(MlflowDoorTest, ADoorWithoutAViewWritesNoIdThatNobodyCanKeep) {
  door_.view = nullptr;
  const auto refused = [this](http::verb method, const std::string& path, const std::string& body) {
    const auto status = send(method, "/api/3.0/mlflow/traces/" + path, body);
    return std::pair(status, said_);
  };
  for (const std::string bad : {"a%00b", "a%1fb"}) {
    for (const auto& path : {"tr-1/assessments/" + bad, bad + "/assessments/a-1"}) {
      const auto [patched, said] =
          refused(http::verb::patch, path, R"({"assessment":{"rationale":"x"},"update_mask":"rationale"})");
      EXPECT_EQ(patched, 400u) << path << said;
      EXPECT_NE(said.find("_id: it "), said.npos) << said;
      EXPECT_EQ(refused(http::verb::delete_, path, "").first, 400u) << path;
    }
    EXPECT_EQ(refused(http::verb::patch, bad + "/tags", R"({"key":"k","value":"v"})").first, 400u);
    EXPECT_EQ(refused(http::verb::delete_, bad + "/tags", R"({"key":"k"})").first, 400u);
  }
  EXPECT_EQ(log_.end({Stream::feedback, 0}) + log_.end({Stream::traces, 0}), 0);
}

TEST_F(MlflowDoorTest, WholeTracesThatAreTooMuchAtOnceAreAskedForInParts) {
  const auto experiment = make("one");
  EXPECT_EQ(spans("000102030405060708090a0b0c0d0e01", experiment), 200u);
  EXPECT_EQ(spans("000102030405060708090a0b0c0d0e02", experiment), 200u);
  const std::string first = "trace_ids=tr-000102030405060708090a0b0c0d0e01",
                    both = first + "&trace_ids=tr-000102030405060708090a0b0c0d0e02";
  const std::string path = "/api/3.0/mlflow/traces/batchGet";
  EXPECT_EQ(send(http::verb::get, path, "", "", both), 200u);
  const auto size = said_.size();
  door_.config.batch_bytes_max = size / 4;
  EXPECT_EQ(send(http::verb::get, path, "", "", both), 400u);
  EXPECT_NE(said_.find("INVALID_PARAMETER_VALUE"), std::string::npos) << said_;
  EXPECT_NE(said_.find("ask for fewer"), std::string::npos) << said_;
  EXPECT_EQ(send(http::verb::get, path, "", "", first), 200u) << "one is answered, however large";
}

TEST_F(MlflowDoorTest, ASearchForWhatIsTooComplexIsRefusedInWords) {
  const auto experiment = make("one");
  for (const std::string id : {"tr-000102030405060708090a0b0c0d0e01", "tr-000102030405060708090a0b0c0d0e02"}) {
    EXPECT_EQ(start(id, experiment), 200u);
    EXPECT_EQ(send(http::verb::patch, "/api/3.0/mlflow/traces/" + id + "/tags",
                   R"({"key":"x","value":")" + std::string(8000, 'a') + "\"}"),
              200u);
  }
  EXPECT_EQ(post("/api/3.0/mlflow/traces/search",
                 R"({"locations":[{"type":"MLFLOW_EXPERIMENT","mlflow_experiment":{"experiment_id":")" + experiment +
                     R"("}}],"filter":"tag.x RLIKE '(a+)+b'"})"),
            400u);
  EXPECT_NE(said_.find(R"("error_code":"INVALID_PARAMETER_VALUE")"), std::string::npos) << said_;
  EXPECT_NE(said_.find("too complex"), std::string::npos) << said_;
}

}  // namespace
}  // namespace assay
