#pragma once
// What an upsert makes of a dataset's records: each one sent is new, or changes the one that has the same inputs.
#include <map>
#include <string>
#include <vector>

#include "ingest/mlflow/door.hpp"
#include "storage/store/catalog.hpp"

namespace assay {

// A JSON object as text, and what is merged into it: read and written once, however often.
class MergedText {
 public:
  void add(const std::string& text, const boost::json::object& more);
  void write(std::string& text) const;

 private:
  std::optional<boost::json::object> whole_;  // none: nothing was added
};

class DatasetUpsert {
 public:
  DatasetUpsert(const Catalog& catalog, std::string dataset_id, std::int64_t now)
      : catalog_(catalog), dataset_id_(std::move(dataset_id)), now_(now) {}

  // One record as it was sent. An inner error: it is none.
  Result<std::optional<MlflowError>> add(const boost::json::value& sent);
  // Each record that is new or has changed, in the order in which they came first.
  std::vector<DatasetRecord> finish();

  std::size_t inserted() const { return inserted_; }
  std::size_t updated() const { return updated_; }
  const std::string& user() const { return user_; }  // who sent it, as the last tag says

 private:
  struct Changing {
    DatasetRecord record;
    MergedText expectations, tags;
  };
  void merge(const boost::json::object& from, Changing& into);
  Result<DatasetRecord, MlflowError> fresh(const boost::json::object& from, const std::string& hash) const;

  const Catalog& catalog_;
  std::string dataset_id_;
  std::int64_t now_;
  std::vector<Changing> changing_;
  std::map<std::string, std::size_t> by_hash_;
  std::size_t inserted_ = 0, updated_ = 0;
  std::string user_;
};

}  // namespace assay
