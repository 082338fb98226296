#pragma once
// How a subcommand takes its settings: flags, then environment variables (ASSAY_LISTEN for --listen), then the keys of
// --config FILE (TOML); the first that names a setting wins. The variable of a flag that is repeated, and has no list
// of its own with commas, holds one value a line. Unknown flags and keys are usage errors; one file may serve several
// commands, so a key that is another command's setting is passed over.
#include <CLI/CLI.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace assay::cli {

enum Exit { ok = 0, failure = 1, usage = 2 };

struct Command {
  std::string_view name, help;
  int (*run)(std::vector<std::string> args);
  bool drains = false;  // on SIGTERM and SIGINT, which end the tools at once
};
// Those whose settings a file may hold. `commands` outlives every parse().
void share_settings(std::span<const Command> commands);

// "250ms", "10s", "5m", "24h", "7d"; `least`: less is a usage error.
void add_duration(CLI::App& app, const std::string& flag, std::chrono::milliseconds& target, const std::string& help,
                  std::chrono::milliseconds least = {});
void add_duration(CLI::App& app, const std::string& flag, std::chrono::seconds& target, const std::string& help,
                  std::chrono::milliseconds least = {});
// The other way round: "1h" of 3,600,000.
std::string duration_text(std::chrono::milliseconds duration);
// Checks of a whole number. Below zero, or beyond what counts anything, CLI11 would make some other number of it.
CLI::Validator at_least_one();
CLI::Validator zero_or_more();
// "512KB", "64MB", "1GB" (of 1024) or plain bytes; from `least` to a petabyte. Becomes plain bytes.
CLI::Validator size_from(std::uint64_t least);
inline constexpr std::uint64_t write_buffers_min = 1u << 20;  // RocksDB takes 0 for no bound at all
template <class T>
CLI::Option* add_bytes(CLI::App& app, const std::string& flag, T& target, const std::string& help,
                       std::uint64_t least = 0) {
  return app.add_option(flag, target, help)->transform(size_from(least))->capture_default_str();
}

struct Parsed {
  bool run;  // false: nothing more to do, exit with `code`
  int code;
};
// Adds --config, --check and --log-level, parses, sets up the log. `args`: without the program and the subcommand.
// `settle` says in a sentence what is wrong with the settings together, a usage error; --check asks it, too.
using Settle = std::function<std::optional<std::string>()>;
Parsed parse(CLI::App& app, std::vector<std::string> args, const Settle& settle = {});

// Whether the command line itself says it.
bool says(const std::vector<std::string>& args, const std::string& flag);

// What is wrong with the URL of a server that a flag names, if anything; its text may hold a secret and is not told.
std::optional<std::string> problem_with_url(const std::string& flag, const std::string& url);

// Says what is wrong, for the person at the terminal.
int complain(const std::string& problem, int code = failure);

// One subcommand each.
int serve(std::vector<std::string> args);
int ingest(std::vector<std::string> args);
int worker(std::vector<std::string> args);
int topics(std::vector<std::string> args);
int dead_letters(std::vector<std::string> args);
int verify(std::vector<std::string> args);
int report(std::vector<std::string> args);
int backup(std::vector<std::string> args);
int forget(std::vector<std::string> args);
int keys(std::vector<std::string> args);
int sinks(std::vector<std::string> args);
int load(std::vector<std::string> args);

}  // namespace assay::cli
