#pragma once
// Who carries out acts on a data directory: the process that owns it, or, where none runs, this one.
#include <memory>

#include "ops/cli/control.hpp"
#include "ops/cli/problem.hpp"
#include "storage/db/data_directory.hpp"
#include "storage/db/db.hpp"
#include "storage/log/embedded_log.hpp"

namespace assay::cli {

class LocalOwner {
 public:
  static Result<std::unique_ptr<LocalOwner>, Problem> open(const std::string& data);
  // Carries out a line of dead_letter_acts.hpp, forget_acts.hpp, backup_acts.hpp or sink_acts.hpp.
  OwnerAnswer answer(const std::string& line);
  // Nothing runs on the data: what the log was given takes effect with the next start.
  bool is_this() const { return log_ != nullptr; }

 private:
  explicit LocalOwner(std::string data) : data_(std::move(data)) {}

  const std::string data_;
  Metrics metrics_;
  std::unique_ptr<DataDirectory> directory_;
  std::unique_ptr<Db> db_;
  std::unique_ptr<EmbeddedLog> log_;  // null: another process has the data
  IoContext io_{1};
};

}  // namespace assay::cli
