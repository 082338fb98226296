#include "storage/store/catalog.hpp"

#include <gtest/gtest.h>

#include "storage/state/memory_key_value.hpp"

namespace assay {
namespace {

const Instant t0 = *parse_time("2026-11-23T15:57:31.547Z");

Experiment experiment(const std::string& id, const std::string& name) {
  return {.experiment_id = id,
          .name = name,
          .artifact_location = "mlflow-artifacts:/" + id,
          .creation_time = 1,
          .last_update_time = 2,
          .tags = {{"k", "v"}}};
}

DatasetRecord record(const std::string& id, const std::string& hash, std::int64_t created) {
  return {.dataset_record_id = id,
          .dataset_id = "d-1",
          .input_hash = hash,
          .inputs = R"({"q":1})",
          .created_time = created,
          .last_update_time = created};
}

class CatalogTest : public testing::Test {
 protected:
  std::string apply(const Record& record) {
    CatalogBatch batch(kv_);
    const auto done = batch.apply(record.key, record.value ? *record.value : "", !record.value);
    EXPECT_TRUE(kv_.write(batch.finish()));
    return !done ? "an error" : *done ? "" : done->error().reason;
  }
  std::string ids() {
    std::string out;
    EXPECT_TRUE(
        catalog_.records("d-1", {}, [&](const DatasetRecord& r) { return out += r.dataset_record_id + " ", true; }));
    return out;
  }
  MemoryKeyValue kv_;
  Catalog catalog_{kv_};
};

// DO NOT CHANGE: other programs read these, and old ones must stay readable.
TEST(CatalogRecord, HasItsBytes) {
  EXPECT_EQ(*to_record(experiment("7", "/Shared/app"), t0).value,
            R"({"v":1,"accepted_at":"2026-11-23T15:57:31.547Z","experiment":{"experiment_id":"7","name":"/Shared/app",)"
            R"("artifact_location":"mlflow-artifacts:/7","creation_time":1,"last_update_time":2,"tags":{"k":"v"}}})");
  EXPECT_EQ(to_record(experiment("7", "x"), t0).key, "experiment/7");
  EXPECT_EQ(to_record(Dataset{.dataset_id = "d-1", .name = "ds", .experiment_ids = {"7"}}, t0).key, "dataset/d-1");
  EXPECT_EQ(*to_record(Dataset{.dataset_id = "d-1", .name = "ds", .experiment_ids = {"7"}}, t0).value,
            R"({"v":1,"accepted_at":"2026-11-23T15:57:31.547Z","dataset":{"dataset_id":"d-1","name":"ds",)"
            R"("created_time":0,"last_update_time":0,"experiment_ids":["7"]}})");
  EXPECT_EQ(to_record(record("dr-1", "h", 5), t0).key, "dataset/d-1/dr-1");
  EXPECT_FALSE(end_of_dataset("d-1", t0).value);
}

TEST(CatalogRecord, ReadsBackWhatWasWritten) {
  const auto dataset = Dataset{.dataset_id = "d-1", .name = "ds", .digest = "x", .schema = "{}", .tags = {{"a", "b"}}};
  EXPECT_EQ(std::get<Dataset>(*parse_catalog_record(*to_record(dataset, t0).value)), dataset);
  EXPECT_EQ(std::get<DatasetRecord>(*parse_catalog_record(*to_record(record("dr-1", "h", 5), t0).value)),
            record("dr-1", "h", 5));
  for (const auto* bad : {"", "[]", "{}", R"({"v":2,"experiment":{}})", R"({"v":1})"})
    EXPECT_FALSE(parse_catalog_record(bad)) << bad;
  for (const auto* bad : {"", "x", "experiment/", "dataset//r", "dataset/d/", "other/1"})
    EXPECT_FALSE(parse_catalog_key(bad)) << bad;
}

TEST_F(CatalogTest, TheDefaultExperimentIsAlwaysThere) {
  EXPECT_EQ((*catalog_.experiment("0"))->name, "Default");
  EXPECT_EQ((*catalog_.experiment_named("Default"))->experiment_id, "0");
  EXPECT_EQ(catalog_.experiments()->size(), 1u);
}

TEST_F(CatalogTest, ANameIsOneExperimentsAndFreeAgainOnceItIsRenamed) {
  EXPECT_EQ(apply(to_record(experiment("7", "one"), t0)), "");
  EXPECT_EQ(apply(to_record(experiment("8", "one"), t0)), "another experiment has its name");
  EXPECT_EQ(apply(to_record(experiment("7", "two"), t0)), "");
  EXPECT_FALSE(*catalog_.experiment_named("one"));
  EXPECT_EQ(apply(to_record(experiment("8", "one"), t0)), "");
  EXPECT_EQ((*catalog_.experiment_named("two"))->experiment_id, "7");
}

TEST_F(CatalogTest, RecordsOfADatasetComeByTimeAndEndWithIt) {
  EXPECT_EQ(apply(to_record(Dataset{.dataset_id = "d-1", .name = "ds"}, t0)), "");
  EXPECT_EQ(apply(to_record(record("dr-b", "h2", 20), t0)), "");
  EXPECT_EQ(apply(to_record(record("dr-c", "h1", 10), t0)), "");
  EXPECT_EQ(apply(to_record(record("dr-a", "h3", 10), t0)), "");
  EXPECT_EQ(ids(), "dr-a dr-c dr-b ");
  std::string last;
  EXPECT_EQ(*catalog_.count_records("d-1", last, 2), 2u);
  EXPECT_EQ(last, "dr-b");
  EXPECT_EQ(*catalog_.count_records("d-1", last, 2), 1u);
  EXPECT_EQ(*catalog_.count_records("d-1", last, 2), 0u);
  EXPECT_EQ((*catalog_.record_of_inputs("d-1", "h1"))->dataset_record_id, "dr-c");
  EXPECT_EQ(apply(end_of_dataset_record("d-1", "dr-c", t0)), "");
  EXPECT_EQ(ids(), "dr-a dr-b ");
  EXPECT_FALSE(*catalog_.record_of_inputs("d-1", "h1"));
  EXPECT_EQ(apply(end_of_dataset("d-1", t0)), "");
  EXPECT_EQ(ids(), "");
  EXPECT_FALSE(*catalog_.dataset("d-1"));
  EXPECT_FALSE(*catalog_.record("d-1", "dr-a"));
}

TEST_F(CatalogTest, PoisonSaysWhy) {
  EXPECT_NE(apply({.stream = Stream::catalog, .key = "experiment/1", .value = "{"}), "");
  EXPECT_NE(apply({.stream = Stream::catalog, .key = "nonsense", .value = "{}"}), "");
  auto misplaced = to_record(experiment("7", "x"), t0);
  misplaced.key = "experiment/8";
  EXPECT_EQ(apply(misplaced), "its key and its value name different things");
}

}  // namespace
}  // namespace assay
