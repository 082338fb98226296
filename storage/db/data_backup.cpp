#include "storage/db/data_backup.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "storage/db/data_directory.hpp"

namespace assay {
namespace {

namespace fs = std::filesystem;

// Why nothing can be written to `to`; empty: it can.
std::string problem_with(const fs::path& data, const fs::path& to) {
  std::error_code ec;
  if (!to.is_absolute()) return to.string() + ": it is no absolute path";
  if (fs::exists(to, ec) && !(fs::is_directory(to, ec) && fs::is_empty(to, ec)))
    return to.string() + " is there, and is not an empty directory";
  if (ec) return to.string() + " can't be read: " + ec.message();
  const auto inside = to.lexically_normal().lexically_relative(fs::absolute(data / "db", ec).lexically_normal());
  if (!inside.empty() && *inside.begin() != "..") return to.string() + " is inside of the database";
  struct stat ours {
  }, theirs{};
  auto there = to;  // or what will hold it
  while (!fs::exists(there, ec) && there.has_relative_path()) there = there.parent_path();
  if (::stat(there.c_str(), &theirs) != 0) return there.string() + ": " + std::strerror(errno);
  if (::stat((data / "db").c_str(), &ours) != 0) return (data / "db").string() + ": " + std::strerror(errno);
  if (ours.st_dev != theirs.st_dev)
    return to.string() + " is on another file system than the data: make it beside the data, and copy it from there";
  return {};
}

// Everything of that file system, which is once a backup.
bool to_disk(const fs::path& directory) {
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool done = ::syncfs(fd) == 0;
  ::close(fd);
  return done;
}

// `format` last: without it nothing opens the directory.
std::string write_to(Db& db, const fs::path& data, const fs::path& to, std::span<const std::string_view> beside) {
  std::error_code ec;
  fs::create_directories(to, ec);
  if (ec) return to.string() + " can't be made: " + ec.message();
  fs::permissions(to, fs::perms::owner_all, ec);
  if (ec) return to.string() + ": " + ec.message();
  if (const auto copied = db.copy_to(to / "db"); !copied)
    return "the database can't be copied to " + to.string() + ": " + copied.error().message();
  for (const auto name : beside) {
    if (!fs::exists(data / name, ec)) continue;
    fs::copy_file(data / name, to / name, ec);
    if (ec) return (to / name).string() + " can't be written: " + ec.message();
  }
  fs::copy_file(data / "format", to / "format", ec);
  if (ec) return (to / "format").string() + " can't be written: " + ec.message();
  return to_disk(to) ? "" : to.string() + " can't be brought to disk: " + std::strerror(errno);
}

}  // namespace

Result<void, std::string> back_up(Db& db, const std::string& data, const std::string& to,
                                  std::span<const std::string_view> beside) {
  if (auto problem = problem_with(data, to); !problem.empty()) return problem;
  auto problem = write_to(db, data, to, beside);
  if (problem.empty()) return {};
  std::error_code ignored;
  fs::remove_all(to, ignored);
  return problem;
}

}  // namespace assay
