#pragma once
// What `assay backup` asks of the process that owns the data. A line: backup DIRECTORY (absolute), which is in
// storage/db/data_backup.hpp. The keys that are kept beside the data are taken along.
#include <string>

#include "storage/db/db.hpp"

namespace assay::cli {

// Thread-safe.
class BackupActs {
 public:
  BackupActs(Db& db, std::string data) : db_(db), data_(std::move(data)) {}
  static bool knows(const std::string& line) { return line.starts_with("backup "); }
  // "ok" or "error SENTENCE".
  std::string answer(const std::string& line) const;

 private:
  Db& db_;
  const std::string data_;
};

}  // namespace assay::cli
