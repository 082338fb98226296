#pragma once
// The data directory of one process: made where it is missing, locked while it is open, marked with the version of what
// is in it. Layout: format (one line), lock, db/ (RocksDB).
#include <memory>
#include <string>

#include "ops/runtime/result.hpp"

namespace assay {

// In a sentence why the data in `path` can't be used by this program; empty: it can. Locks nothing.
std::string problem_with_format(const std::string& path);

class DataDirectory {
 public:
  // Fails with a sentence: in use, written by a newer program, not a directory, no permission.
  static Result<DataDirectory, std::string> open(const std::string& path);
  DataDirectory(DataDirectory&& other) noexcept;
  DataDirectory& operator=(DataDirectory&&) = delete;
  ~DataDirectory();  // gives the lock back

  const std::string& path() const { return path_; }
  std::string database() const { return path_ + "/db"; }

 private:
  DataDirectory(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}
  std::string path_;
  int lock_;
};

}  // namespace assay
