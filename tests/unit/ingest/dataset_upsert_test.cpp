#include "ingest/mlflow/dataset_upsert.hpp"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

#include "ingest/mlflow/dataset_json.hpp"
#include "storage/state/memory_key_value.hpp"

namespace assay {
namespace {

namespace json = boost::json;

class DatasetUpsertTest : public testing::Test {
 protected:
  std::string add(DatasetUpsert& upsert, std::string_view sent) {
    const auto problem = upsert.add(json::parse({sent.data(), sent.size()}));
    return !problem ? "an error" : *problem ? (*problem)->message : "";
  }
  void keep(const DatasetRecord& record) {
    CatalogBatch batch(kv_);
    const auto kept = to_record(record, Instant{});
    ASSERT_TRUE(batch.apply(kept.key, *kept.value, false));
    ASSERT_TRUE(kv_.write(batch.finish()));
  }
  MemoryKeyValue kv_;
  Catalog catalog_{kv_};
};

TEST_F(DatasetUpsertTest, EqualInputsAreOneRecordThatIsMerged) {
  DatasetUpsert upsert(catalog_, "d-1", 7);
  EXPECT_EQ(add(upsert, R"({"inputs":{"a":1,"b":2},"expectations":{"x":1,"y":1},"tags":{"mlflow.user":"ana"}})"), "");
  EXPECT_EQ(add(upsert, R"({"inputs":{"c":3}})"), "");
  EXPECT_EQ(add(upsert, R"({"inputs":{"b":2,"a":1},"expectations":{"y":2,"z":3},"outputs":"o"})"), "");
  EXPECT_EQ(add(upsert, R"({"inputs":{"a":1,"b":2},"expectations":{},"tags":{"k":null}})"), "");
  EXPECT_EQ(upsert.inserted(), 2u);
  EXPECT_EQ(upsert.updated(), 2u);
  EXPECT_EQ(upsert.user(), "ana");
  const auto records = upsert.finish();
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].expectations, R"({"x":1,"y":2,"z":3})");
  EXPECT_EQ(records[0].tags, R"({"mlflow.user":"ana","k":null})");
  EXPECT_EQ(records[0].outputs, R"("o")");
  EXPECT_EQ(records[1].inputs, R"({"c":3})");
  EXPECT_EQ(records[1].expectations, "") << "there were none";
}

// Read and written again for each of them, this would not end.
TEST_F(DatasetUpsertTest, VeryManyOfEqualInputsAreReadAndWrittenOnce) {
  DatasetUpsert upsert(catalog_, "d-1", 7);
  constexpr int many = 10'000;
  for (int i = 0; i < many; ++i)
    ASSERT_EQ(add(upsert, R"({"inputs":{},"expectations":{")" + std::to_string(i) + std::string(400, 'x') + R"(":1}})"),
              "");
  const auto records = upsert.finish();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(json::parse(records[0].expectations).as_object().size(), std::size_t{many});
}

TEST_F(DatasetUpsertTest, AKnownRecordIsChangedAndABadOneSaysWhy) {
  DatasetRecord known{.dataset_record_id = "dr-1",
                      .dataset_id = "d-1",
                      .input_hash = hash_of_inputs(json::parse(R"({"q":1})")),
                      .inputs = R"({"q":1})",
                      .expectations = R"({"old":1})",
                      .created_time = 3};
  keep(known);
  DatasetUpsert upsert(catalog_, "d-1", 7);
  EXPECT_EQ(add(upsert, R"({"inputs":{"q":1},"expectations":{"new":2}})"), "");
  EXPECT_EQ(add(upsert, "5"), "records: one of them is not an object");
  EXPECT_EQ(add(upsert, R"({"source":{"source_type":"alien"}})").substr(0, 44),
            "Invalid dataset record source type: ALIEN. V");
  known.expectations = R"({"old":1,"new":2})";
  known.last_update_time = 7;
  EXPECT_EQ(upsert.finish(), std::vector{known});
}

TEST(DatasetSchema, HasTheTypeOfEachFieldThatCameFirst) {
  const auto records = json::parse(
      R"([{"inputs":{"q":"a","n":1},"outputs":"o"},{"inputs":{"q":2,"l":[]},"outputs":{"k":1.5},"expectations":{"e":null}}])");
  const auto once = extended_schema("", records.as_array());
  EXPECT_EQ(once, R"({"inputs": {"q": "string", "n": "integer", "l": "array"}, "outputs": "string", )"
                  R"("expectations": {"e": "null"}, "version": "1.0"})");
  std::string stepwise;
  for (const auto& record : records.as_array()) stepwise = extended_schema(stepwise, json::array{record});
  EXPECT_EQ(stepwise, once);
}

}  // namespace
}  // namespace assay
