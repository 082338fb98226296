#include "ops/cli/local_store.hpp"

#include <stdlib.h>

#include <filesystem>

#include "ops/cli/role.hpp"
#include "storage/db/data_directory.hpp"

namespace assay::cli {

Result<std::unique_ptr<LocalStore>, Problem> LocalStore::open(const std::string& data_directory,
                                                              std::initializer_list<std::string_view> roles) {
  const auto database = data_directory + "/db";
  std::error_code ec;
  const bool there = std::filesystem::exists(database, ec);
  if (ec) return data_directory + " can't be read: " + ec.message();
  if (!there) return "there is no assay data in " + data_directory;
  if (auto problem = problem_with_format(data_directory); !problem.empty()) return problem;
  auto scratch = (std::filesystem::temp_directory_path() / "assay-reader-XXXXXX").string();
  if (!::mkdtemp(scratch.data())) return std::string("no temporary directory can be made");
  std::unique_ptr<LocalStore> store(new LocalStore(scratch));
  auto db = Db::open({.directory = database, .reader_scratch = scratch});
  if (!db) return db.error();
  store->db_ = std::move(*db);
  if (auto problem = problem_with_role(*store->db_, data_directory, {roles.begin(), roles.size()})) return *problem;
  auto log = EmbeddedLog::open(*store->db_, data_directory, {.read_only = true}, store->metrics_);
  if (!log) return log.error();
  store->log_ = std::move(*log);
  return store;
}

Result<bool, std::string> LocalStore::keeps_store() const {
  const auto role = db_->get(Family::meta, "role");
  if (!role) return "the store can't be read: " + role.error().message();
  if (*role != "ingest") return true;
  const auto view = db_->get(Family::meta, view_key);
  if (!view) return "the store can't be read: " + view.error().message();
  if (*view) return true;
  bool found = false;  // one that was started last before the key was written
  const auto scanned = db_->scan(Family::meta, "sink/store/", "sink/store0", [&found](auto, auto) {
    found = true;
    return false;
  });
  if (!scanned) return "the store can't be read: " + scanned.error().message();
  return found;
}

LocalStore::~LocalStore() {
  log_.reset();
  db_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(scratch_, ignored);
}

}  // namespace assay::cli
