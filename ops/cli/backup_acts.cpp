#include "ops/cli/backup_acts.hpp"

#include "ops/cli/access_options.hpp"
#include "ops/runtime/log.hpp"
#include "storage/db/data_backup.hpp"

namespace assay::cli {

std::string BackupActs::answer(const std::string& line) const {
  const auto to = line.substr(std::string_view("backup ").size());
  constexpr std::string_view beside[] = {api_keys_name, capability_keys_name};
  const auto begun = std::chrono::steady_clock::now();
  const auto made = back_up(db_, data_, to, beside);
  if (!made) return "error " + made.error();
  const auto took = std::chrono::steady_clock::now() - begun;
  spdlog::info("event=backed_up to=\"{}\" took_ms={}", to,
               std::chrono::duration_cast<std::chrono::milliseconds>(took).count());
  return "ok";
}

}  // namespace assay::cli
