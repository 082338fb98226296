#include "storage/db/data_directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

namespace assay {
namespace {

// DO NOT CHANGE: raise the number when an older program could not read what a newer one writes.
constexpr int format_version = 1;

std::string write_format(const std::string& path) {
  const auto draft = path + "/format.new";
  {
    std::ofstream out(draft, std::ios::trunc);
    out << "assay data " << format_version << "\n";
    if (!out.flush()) return "can't write " + draft;
  }
  std::error_code ec;
  std::filesystem::rename(draft, path + "/format", ec);
  return ec ? "can't write " + path + "/format: " + ec.message() : "";
}

}  // namespace

std::string problem_with_format(const std::string& path) {
  std::ifstream in(path + "/format");
  if (!in) return path + " has no format file: it is not assay's, or damaged";
  std::string assay, data;
  int version = 0;
  if (!(in >> assay >> data >> version) || assay != "assay" || data != "data") return path + "/format is not assay's";
  if (version > format_version)
    return path + " was written by a newer program (format " + std::to_string(version) + ", this one knows " +
           std::to_string(format_version) + ")";
  return {};
}

Result<DataDirectory, std::string> DataDirectory::open(const std::string& path) {
  std::error_code ec;
  const bool made = std::filesystem::create_directories(path, ec);
  if (ec) return "the data directory " + path + " can't be made: " + ec.message();
  // What people said is nobody else's to read. One that was there keeps what its owner gave it.
  if (made) std::filesystem::permissions(path, std::filesystem::perms::owner_all, ec);
  const int lock = ::open((path + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) return "the data directory " + path + " can't be written: " + std::strerror(errno);
  DataDirectory directory(path, lock);
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) return "the data directory " + path + " is in use by another process";
  const bool is_new = !std::filesystem::exists(path + "/format") && !std::filesystem::exists(path + "/db");
  if (auto problem = is_new ? write_format(path) : problem_with_format(path); !problem.empty()) return problem;
  return directory;
}

DataDirectory::DataDirectory(DataDirectory&& other) noexcept
    : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)) {}

DataDirectory::~DataDirectory() {
  if (lock_ >= 0) ::close(lock_);
}

}  // namespace assay
