#include "ops/cli/local_owner.hpp"

#include <filesystem>

#include "ops/cli/backup_acts.hpp"
#include "ops/cli/dead_letter_acts.hpp"
#include "ops/cli/forget_acts.hpp"
#include "ops/cli/role.hpp"
#include "ops/cli/sink_acts.hpp"

namespace assay::cli {

Result<std::unique_ptr<LocalOwner>, Problem> LocalOwner::open(const std::string& data) {
  if (!std::filesystem::exists(data + "/db")) return "there is no assay data in " + data;
  if (auto problem = problem_with_format(data); !problem.empty()) return problem;
  std::unique_ptr<LocalOwner> self(new LocalOwner(data));
  auto directory = DataDirectory::open(data);
  if (!directory) return self;
  self->directory_ = std::make_unique<DataDirectory>(std::move(*directory));
  auto db = Db::open({.directory = self->directory_->database()});
  if (!db) return db.error();
  self->db_ = std::move(*db);
  constexpr std::string_view serve = "serve";
  if (auto problem = problem_with_role(*self->db_, data, {&serve, 1})) return *problem;
  auto log = EmbeddedLog::open(*self->db_, self->directory_->path(), {}, self->metrics_);
  if (!log) return log.error();
  self->log_ = std::move(*log);
  return self;
}

OwnerAnswer LocalOwner::answer(const std::string& line) {
  constexpr std::chrono::seconds sign_of_life_max{15}, copy_max{600};
  if (!log_ && BackupActs::knows(line)) {  // a copy may take long, a sign of life may not
    auto alive = ask_owner(data_, "ping", sign_of_life_max);
    return alive.reached ? ask_owner(data_, line, copy_max) : alive;
  }
  if (!log_) return ask_owner(data_, line, sign_of_life_max);
  if (BackupActs::knows(line)) return {true, BackupActs(*db_, directory_->path()).answer(line)};
  if (SinkActs::knows(line)) return {true, SinkActs(*db_).answer(line)};
  if (ForgetActs::knows(line)) return {true, ForgetActs(*log_, io_).answer(line)};
  return {true, DeadLetterActs(*db_, *log_, io_).answer(line)};
}

}  // namespace assay::cli
