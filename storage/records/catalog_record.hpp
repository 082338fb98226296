#pragma once
// assay.catalog: experiments and datasets. One partition, compacted: each record is the whole state of its key, a
// tombstone ends it.
//
//   key experiment/ID         {"v":1,"accepted_at":T,"experiment":{…}}
//   key dataset/ID            {"v":1,"accepted_at":T,"dataset":{…}}
//   key dataset/ID/RECORD     {"v":1,"accepted_at":T,"dataset_record":{…}}
//
// The objects are the structs below, their fields by name; times in milliseconds since the epoch. Inputs, outputs,
// expectations, tags and source of a dataset's record are JSON as it was sent. DO NOT CHANGE a field's meaning: raise
// the version.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "storage/records/feedback_record.hpp"

namespace assay {

inline constexpr std::string_view default_experiment_id = "0", default_experiment_name = "Default";

struct Experiment {
  std::string experiment_id, name, artifact_location;
  bool deleted = false;
  std::int64_t creation_time = 0, last_update_time = 0;
  std::map<std::string, std::string> tags;
  bool operator==(const Experiment&) const = default;
};

struct Dataset {
  std::string dataset_id, name, digest;
  std::string schema, profile;  // JSON; empty: none
  std::string created_by, last_updated_by;
  std::int64_t created_time = 0, last_update_time = 0;
  std::map<std::string, std::string> tags;
  std::vector<std::string> experiment_ids;
  bool operator==(const Dataset&) const = default;
};

struct DatasetRecord {
  std::string dataset_record_id, dataset_id, input_hash;
  std::string inputs, outputs, expectations, tags, source;  // JSON; empty: none
  std::string source_id, source_type, created_by, last_updated_by;
  std::int64_t created_time = 0, last_update_time = 0;
  bool operator==(const DatasetRecord&) const = default;
};

Record to_record(const Experiment& experiment, Instant at);
Record to_record(const Dataset& dataset, Instant at);
Record to_record(const DatasetRecord& record, Instant at);
Record end_of_dataset(std::string_view dataset_id, Instant at);
Record end_of_dataset_record(std::string_view dataset_id, std::string_view record_id, Instant at);

// What a key names; the ids are never empty.
struct CatalogKey {
  enum class Kind { experiment, dataset, dataset_record } kind;
  std::string id, record_id;
};
std::optional<CatalogKey> parse_catalog_key(std::string_view key);

using CatalogValue = std::variant<Experiment, Dataset, DatasetRecord>;
Result<CatalogValue, Malformed> parse_catalog_record(std::string_view value);

}  // namespace assay
