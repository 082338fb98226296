#pragma once
// Experiments and datasets as the store keeps them, in the family catalog. DO NOT CHANGE the keys: they stand on disk.
//
//   'e' experiment_id                          a record's value (catalog_record.hpp)
//   'n' name                                   the experiment_id
//   'd' dataset_id                             a record's value
//   'r' dataset_id \0 created(8) record_id     a record's value
//   'h' dataset_id \0 input_hash               created(8) record_id
//   'i' dataset_id \0 record_id                created(8)
#include <functional>
#include <map>

#include "storage/records/catalog_record.hpp"
#include "storage/state/key_value.hpp"

namespace assay {

bool is_dataset_record(std::string_view key);

// Reads. Thread-safe. The experiment "0", Default, is always there.
class Catalog {
 public:
  explicit Catalog(const KeyValue& kv) : kv_(kv) {}

  Result<std::optional<Experiment>> experiment(std::string_view experiment_id) const;
  Result<std::optional<Experiment>> experiment_named(std::string_view name) const;
  Result<std::vector<Experiment>> experiments() const;

  Result<std::optional<Dataset>> dataset(std::string_view dataset_id) const;
  Result<std::vector<Dataset>> datasets() const;
  // By (created_time, record_id), behind `after`; visit returns false to end it.
  struct RecordPlace {
    std::int64_t created_time = -1;
    std::string record_id;
  };
  Result<void> records(std::string_view dataset_id, const RecordPlace& after,
                       const std::function<bool(DatasetRecord)>& visit) const;
  // How many there are, up to `most`, behind the id `after`, which becomes the last one's; nothing of them is parsed.
  Result<std::size_t> count_records(std::string_view dataset_id, std::string& after, std::size_t most) const;
  Result<std::optional<DatasetRecord>> record(std::string_view dataset_id, std::string_view record_id) const;
  Result<std::optional<DatasetRecord>> record_of_inputs(std::string_view dataset_id, std::string_view input_hash) const;

 private:
  const KeyValue& kv_;
};

// The working set of one batch of catalog records, applied in the order of the log: the last one of a key counts.
class CatalogBatch {
 public:
  explicit CatalogBatch(const KeyValue& kv) : kv_(kv) {}
  // An inner error: the record is poison. A name that another experiment has stays that one's: names are one's own.
  Result<Result<void, Malformed>> apply(std::string_view key, std::string_view value, bool tombstone);
  Changes finish();

 private:
  Result<std::optional<std::string>> get(const std::string& key) const;
  void put(std::string key, std::string value) { written_[std::move(key)] = std::move(value); }
  void erase(std::string key) { written_[std::move(key)] = std::nullopt; }
  Result<Result<void, Malformed>> apply(const Experiment& experiment, std::string_view value);
  Result<Result<void, Malformed>> apply(const DatasetRecord& record, std::string_view value);
  Result<void> erase_record(std::string_view dataset_id, std::string_view record_id);
  Result<void> erase_dataset(std::string_view dataset_id);

  const KeyValue& kv_;
  std::map<std::string, std::optional<std::string>> written_;
};

}  // namespace assay
