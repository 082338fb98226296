#include "ingest/access/secret_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace assay {

Result<SecretFile, std::string> read_secret_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  if (file) {
    errno = 0;
    bytes << file.rdbuf();
  }
  const bool nothing_in_it = file && !bytes && errno == 0;  // what has nothing to put out says that it failed
  // Named: a SecretFile could be made of a string, too.
  using Read = Result<SecretFile, std::string>;
  if (nothing_in_it) return Read(boost::system::in_place_error, path + " is empty");
  if (!file || !bytes) return Read(boost::system::in_place_error, "can't read " + path + ": " + std::strerror(errno));
  return Read(boost::system::in_place_value, SecretFile{std::move(bytes).str()});
}

bool give_to_owner_of_directory(int file, const std::string& path) {
  if (::geteuid() != 0) return true;
  const auto directory = std::filesystem::path(path).parent_path();
  struct stat owner {};
  return ::stat(directory.empty() ? "." : directory.c_str(), &owner) == 0 &&
         ::fchown(file, owner.st_uid, owner.st_gid) == 0;
}

Result<void, std::string> write_secret_file(const std::string& path, std::string_view bytes) {
  const auto beside = path + ".new";
  const auto failed = [&](const char* act) { return std::string(act) + " " + beside + ": " + std::strerror(errno); };
  // A new one: what another user has put there, a link too, is neither written to nor given away.
  ::unlink(beside.c_str());
  const int file = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return failed("can't open");
  const bool written = give_to_owner_of_directory(file, beside) && ::fchmod(file, 0600) == 0 &&
                       ::write(file, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()) &&
                       ::fsync(file) == 0;
  auto problem = written ? std::string() : failed("can't write");
  ::close(file);
  if (!problem.empty()) return problem;
  if (::rename(beside.c_str(), path.c_str()) != 0) return failed("can't rename");
  return {};
}

}  // namespace assay
