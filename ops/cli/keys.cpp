// assay keys: API keys of servers, and the keys that sign feedback capabilities.
#include <fcntl.h>
#include <simdjson.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iomanip>
#include <iostream>

#include "ingest/access/secret_file.hpp"
#include "ops/cli/access_options.hpp"

namespace assay::cli {
namespace {

// One change of a file at a time, whoever makes it.
class FileLock {
 public:
  explicit FileLock(const std::string& path)
      : file_(::open((path + ".lock").c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600)) {
    if (file_ < 0) return;
    struct stat made {};
    if (::fstat(file_, &made) == 0 && made.st_nlink == 1) give_to_owner_of_directory(file_, path);
    ::flock(file_, LOCK_EX);
  }
  ~FileLock() {
    if (file_ >= 0) ::close(file_);
  }
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int file_;
};

// One that can't be looked at is not: who reads it says why.
bool is_missing(const std::string& path) {
  std::error_code ec;
  return !std::filesystem::exists(path, ec) && !ec;
}

Result<ApiKeys, std::string> read_keys(const std::string& path) {
  if (is_missing(path)) return ApiKeys();
  auto file = read_secret_file(path);
  if (!file) return file.error();
  auto keys = ApiKeys::parse(std::move(file->bytes));
  if (!keys) return path + ": " + keys.error();
  return keys;
}

// It is shown on terminals, and kept as JSON.
bool is_fit_for_a_name(std::string_view name) {
  const auto controls = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
  return std::ranges::none_of(name, controls) && simdjson::validate_utf8(name.data(), name.size());
}

std::string scopes_text(ScopeSet scopes) {
  std::string out;
  for (const auto& [scope, name] : scope_names)
    if (scopes.has(scope)) out.append(out.empty() ? "" : ",").append(name);
  return out;
}

void list(const ApiKeys& keys) {
  for (const auto& key : keys.list()) {
    std::cout << key.id << "  " << std::left << std::setw(24) << key.name << "  " << std::setw(32)
              << scopes_text(key.scopes) << "  " << format_time(key.created_at);
    if (key.rate.limited()) std::cout << "  " << key.rate.per_second << "/s, burst " << key.rate.burst;
    std::cout << "\n";
  }
}

int rotate(const std::string& path, std::size_t keep) {
  const SystemClock clock;
  FileLock lock(path);
  auto keys = CapabilityKeys::create(clock.now());
  if (!is_missing(path)) {
    const auto file = read_secret_file(path);
    if (!file) return complain(file.error());
    auto found = CapabilityKeys::parse(file->bytes);
    if (!found) return complain(path + ": " + found.error());
    keys = std::move(*found);
    keys.rotate(keep, clock.now());
  }
  if (const auto written = write_secret_file(path, keys.to_json()); !written) return complain(written.error());
  std::cout << "key " << keys.newest() << " signs, " << keys.size() << " check\n";
  return ok;
}

}  // namespace

int keys(std::vector<std::string> args) {
  CLI::App app("API keys of servers, and the keys that sign feedback capabilities", "assay keys");
  std::string verb, data = "assay-data", file, name, capability_file, rate;
  std::vector<std::string> scopes;
  std::size_t keep = 1;
  app.add_option("verb", verb, "create, list, revoke, or rotate-capabilities")
      ->required()
      ->check(CLI::IsMember({"create", "list", "revoke", "rotate-capabilities"}))
      ->configurable(false);
  app.add_option("name", name, "Of the key; to revoke: its name or id")->configurable(false);
  app.add_option("--data", data, "The data directory of the front door")->capture_default_str();
  app.add_option("--keys", file, "The file of API keys (default: api-keys.json in --data)");
  app.add_option("--scope", scopes, "What the key may do: feedback, chat, trace, read, admin")->delimiter(',');
  app.add_option("--rate", rate, "Its own quota, REQUESTS_PER_SECOND[:BURST], in place of --quota-key's");
  app.add_option("--capability-keys", capability_file,
                 "The file of signing keys (default: capability-keys.json in --data)");
  app.add_option("--keep", keep, "How many older signing keys go on checking")
      ->check(CLI::Range(0, 16))
      ->capture_default_str();
  ScopeSet set;
  Rate own;
  const auto settle = [&]() -> std::optional<std::string> {
    if (verb != "create" && verb != "revoke") {
      if (!name.empty()) return verb + " takes no name: \"" + name + "\"";
      return {};
    }
    if (name.empty()) return verb + " needs the name of a key";
    if (verb == "revoke") return {};
    if (!is_fit_for_a_name(name)) return "the name of a key has no control characters, and is UTF-8";
    std::string unknown;
    const auto asked = parse_scopes(scopes, unknown);
    if (!asked) return "--scope: there is no scope \"" + unknown + "\"";
    if (asked->empty()) return "--scope says what the key may do: it is missing";
    const auto quota = parse_rate(rate.empty() ? "0" : rate);
    if (!quota) return "--rate: \"" + rate + "\" is not REQUESTS_PER_SECOND[:BURST]";
    if (!rate.empty() && !quota->limited()) return "--rate: 0 is no quota of its own, and leaves the key --quota-key's";
    set = *asked;
    own = *quota;
    return {};
  };
  if (const auto parsed = parse(app, std::move(args), settle); !parsed.run) return parsed.code;
  if (file.empty()) file = data + "/" + std::string(api_keys_name);
  if (capability_file.empty()) capability_file = data + "/" + std::string(capability_keys_name);
  if (verb != "list") {
    const auto& changed = verb == "rotate-capabilities" ? capability_file : file;
    std::error_code ec;
    std::filesystem::create_directories(std::filesystem::path(changed).parent_path(), ec);
  }
  if (verb == "rotate-capabilities") return rotate(capability_file, keep);

  if (verb == "list" && is_missing(file)) return complain("there is no file of API keys " + file);
  FileLock lock(file);
  auto found = read_keys(file);
  if (!found) return complain(found.error());
  if (verb == "list") {
    list(*found);
    return ok;
  }
  std::string text;
  std::size_t revoked = 0;
  if (verb == "create") {
    const auto has_name = [&](const ApiKey& key) { return key.name == name; };
    if (std::ranges::any_of(found->list(), has_name))
      return complain("there is a key \"" + name + "\" already: revoke it, or give this one another name");
    text = found->create(name, set, own, SystemClock().now());
  } else if (revoked = found->revoke(name); revoked == 0) {
    return complain("there is no key \"" + name + "\"");
  }
  if (const auto written = write_secret_file(file, found->to_json()); !written) return complain(written.error());
  if (verb == "revoke") {
    std::cout << revoked << (revoked == 1 ? " key" : " keys")
              << " revoked; a front door that runs has heard of it within a second or two\n";
    return ok;
  }
  // On its own line of standard output, so that a script can take it; it is shown this once.
  std::cerr << "assay: the key, shown this once; keep it safe:\n";
  std::cout << text << std::endl;
  return ok;
}

}  // namespace assay::cli
