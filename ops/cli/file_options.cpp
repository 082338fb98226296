#include "ops/cli/file_options.hpp"

#include <boost/asio/ssl/context.hpp>
#include <filesystem>

#include "ingest/access/secret_file.hpp"

namespace assay::cli {

std::optional<std::string> problem_with_ca_file(const std::string& flag, const std::string& path) {
  if (path.empty()) return {};
  if (const auto file = read_secret_file(path); !file) return flag + ": " + file.error();
  boost::asio::ssl::context context(boost::asio::ssl::context::tls_client);
  boost::system::error_code ec;
  context.load_verify_file(path, ec);
  if (ec) return flag + ": " + path + " holds no certificates: " + ec.message();
  return {};
}

std::optional<std::string> problem_with_directory(const std::string& flag, const std::string& path) {
  if (path.empty()) return flag + ": it is empty";
  std::error_code ec;
  for (auto part = std::filesystem::absolute(path, ec); !ec && part.has_relative_path(); part = part.parent_path()) {
    if (!std::filesystem::exists(part, ec)) continue;
    if (!std::filesystem::is_directory(part, ec)) return flag + ": " + part.string() + " is no directory";
    break;
  }
  return {};
}

}  // namespace assay::cli
