#pragma once
// The data directory as a tool sees it: read beside the process that owns it, or by itself.
#include <memory>
#include <string>

#include "ops/cli/problem.hpp"
#include "ops/runtime/metrics.hpp"
#include "storage/db/db.hpp"
#include "storage/log/embedded_log.hpp"

namespace assay::cli {

class LocalStore {
 public:
  // Fails where there is no such directory, no database in it, it was written by a newer program, or by a process of
  // none of these roles.
  static Result<std::unique_ptr<LocalStore>, Problem> open(const std::string& data_directory,
                                                           std::initializer_list<std::string_view> roles);
  ~LocalStore();

  // `assay serve` always does; a front door does when it has had a view.
  Result<bool, std::string> keeps_store() const;

  Db& db() { return *db_; }
  EmbeddedLog& log() { return *log_; }

 private:
  explicit LocalStore(std::string scratch) : scratch_(std::move(scratch)) {}
  std::string scratch_;
  Metrics metrics_;
  std::unique_ptr<Db> db_;
  std::unique_ptr<EmbeddedLog> log_;
};

}  // namespace assay::cli
