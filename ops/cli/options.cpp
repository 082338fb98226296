#include "ops/cli/options.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <set>

#include "ops/cli/config_file.hpp"
#include "ops/runtime/http_client.hpp"
#include "ops/runtime/log.hpp"
#include "ops/runtime/log_value.hpp"
#include "ops/runtime/parse_number.hpp"

namespace assay::cli {
namespace {

using std::chrono::milliseconds;

struct Unit {
  std::string_view name;
  std::int64_t ms;
};
constexpr Unit units[] = {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};

constexpr milliseconds duration_max = std::chrono::hours(36'500 * 24);  // as nanoseconds it still is a number

milliseconds parse_duration(const std::string& text, const std::string& flag) {
  std::int64_t number = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  for (const auto& known : units)
    if (ec == std::errc() && number >= 0 && number < 1'000'000'000 && unit == known.name) {
      const milliseconds duration(number * known.ms);
      if (duration <= duration_max) return duration;
      throw CLI::ValidationError(flag, "\"" + text + "\" is more than 36500d");
    }
  throw CLI::ValidationError(flag, "\"" + text + "\" is not a duration such as 250ms, 10s, 5m, 24h or 7d");
}

constexpr std::uint64_t count_max = 1'000'000'000'000, size_max = std::uint64_t(1) << 50;

// "64", "64B", "64KB", "64 MiB": of 1024.
std::optional<std::uint64_t> parse_size(std::string text) {
  text = CLI::detail::to_lower(CLI::detail::remove_underscore(CLI::detail::trim(text)));
  const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = parse_number<std::uint64_t>(std::string_view(text).substr(0, digits));
  auto unit = text.substr(digits);
  CLI::detail::ltrim(unit);
  if (unit.ends_with('b')) unit.pop_back();
  if (unit.size() > 1 && unit.ends_with('i')) unit.pop_back();
  constexpr std::string_view powers = "kmgtp";
  const auto power = unit.empty() ? 0 : powers.find(unit) + 1;
  if (!number || unit.size() > 1 || (!unit.empty() && power == 0)) return {};
  const auto factor = std::uint64_t(1) << (10 * power);
  if (*number > size_max / factor) return {};
  return *number * factor;
}

template <class T>
void add(CLI::App& app, const std::string& flag, T& target, const std::string& help, milliseconds least) {
  app.add_option_function<std::string>(
         flag,
         [&target, flag, least](const std::string& text) {
           const auto duration = parse_duration(text, flag);
           if (duration < least) throw CLI::ValidationError(flag, "it is less than " + duration_text(least));
           target = std::chrono::duration_cast<T>(duration);
         },
         help)
      ->default_str(duration_text(target));
}

constexpr std::string_view variable_prefix = "ASSAY_";

// disk-reserve -> ASSAY_DISK_RESERVE
std::string variable_of(std::string_view setting) {
  std::string name(variable_prefix);
  for (const unsigned char c : setting) name += static_cast<char>(c == '-' ? '_' : std::toupper(c));
  return name;
}

void name_environment(CLI::App& app) {
  for (auto* option : app.get_options()) {
    if (option->get_lnames().empty() || !option->get_configurable() || option->get_name() == "--help") continue;
    option->envname(variable_of(option->get_lnames().front()));
  }
}

// One value a flag, however often it may be given: the next word is the verb, not another value.
void take_one_value_each(CLI::App& app) {
  for (auto* option : app.get_options())
    if (!option->get_lnames().empty()) option->allow_extra_args(false);
}

// What a variable says: of a flag that may be repeated, one value a line, since a value may hold anything else. Where
// the flag takes a list, a line may hold one.
std::vector<std::string> values_in(const CLI::Option& option, const std::string& text) {
  if (option.get_expected_max() <= 1) return {text};
  std::vector<std::string> values;
  for (auto& line : CLI::detail::split(text, '\n'))
    if (CLI::detail::trim(line); !line.empty()) values.push_back(std::move(line));
  std::reverse(values.begin(), values.end());
  return values;
}

// CLI11 lets the file win over the environment: what the environment says is given as a flag, where no flag says it.
void prepend_environment(const CLI::App& app, std::vector<std::string>& args) {
  for (const auto* option : app.get_options()) {
    if (option->get_envname().empty()) continue;
    const auto flag = "--" + option->get_lnames().front();
    const auto* value = std::getenv(option->get_envname().c_str());
    if (!value || !*value || says(args, flag)) continue;
    for (const auto& each : values_in(*option, value)) args.insert(args.begin(), flag + "=" + each);
  }
}

// A value as TOML has it: bare where it is a number or a truth; in single quotes nothing is escaped.
std::string toml_value(const std::string& text) {
  if (text == "true" || text == "false" || parse_number<double>(text)) return text;
  const bool plain = text.find_first_of("\\\"\n") == text.npos;
  if (!plain && text.find_first_of("'\n") == text.npos) return "'" + text + "'";
  std::string out = "\"";
  for (const char c : text) {
    if (c == '\\' || c == '"' || c == '\n') out += '\\';
    out += c == '\n' ? 'n' : c;
  }
  return out + '"';
}

// What an option is set to, or its default; a list has several, and nothing is none.
std::vector<std::string> values_of(const CLI::Option& option) {
  if (option.count() > 0) return option.results();
  auto text = option.get_default_str();
  if (option.get_expected_max() > 1 && text.starts_with('[') && text.ends_with(']'))
    return CLI::detail::split(text.substr(1, text.size() - 2), ',');
  if (text.empty() && option.get_expected_max() == 0) text = "false";
  return text.empty() ? std::vector<std::string>{} : std::vector{std::move(text)};
}

// The settings as a file that --config takes. What is not set is left out.
std::string settings_text(const CLI::App& app) {
  std::string out;
  for (const auto* option : app.get_options()) {
    if (option->get_lnames().empty() || !option->get_configurable() || option->get_name() == "--config") continue;
    std::string list;
    const auto values = values_of(*option);
    for (const auto& value : values) list.append(list.empty() ? "" : ", ").append(toml_value(value));
    if (list.empty()) continue;
    const bool many = option->get_expected_max() > 1;
    out.append(option->get_lnames().front()).append(" = ").append(many ? "[" + list + "]" : list).append("\n");
  }
  return out;
}

std::span<const Command> all_commands;
std::set<std::string>* wanted_names = nullptr;  // where set, a subcommand tells its settings' names, and no more

void tell_names(const CLI::App& app) {
  for (const auto* option : app.get_options())
    if (!option->get_lnames().empty() && option->get_configurable()) wanted_names->insert(option->get_lnames().front());
}

std::set<std::string> settings_of_all_commands() {
  std::set<std::string> names;
  wanted_names = &names;
  for (const auto& command : all_commands) command.run({});
  wanted_names = nullptr;
  return names;
}

struct FileKeys {
  std::string of_others;               // settings of other commands, in a list
  std::optional<std::string> problem;  // the first that is a setting of none
};

FileKeys look_at_config(const CLI::App& app) {
  FileKeys found;
  std::set<std::string> others;
  for (const auto& file : app.get_config_ptr()->results())
    for (const auto& item : app.get_config_formatter()->from_file(file)) {
      if (const auto* own = app.get_option_no_throw("--" + item.name); own && own->get_configurable()) continue;
      if (others.empty()) others = settings_of_all_commands();
      if (!others.contains(item.name)) {
        found.problem = "there is no setting \"" + item.name + "\"";
        return found;
      }
      found.of_others.append(found.of_others.empty() ? "" : ",").append(item.name);
    }
  return found;
}

// Variables that are the setting of no command, in a list: one that is misspelt would be passed over in silence.
std::string unknown_variables() {
  std::set<std::string> known{"ASSAY_CONFIG",
                              "ASSAY_KAFKA_SASL_PASSWORD",
                              "ASSAY_KAFKA_SSL_KEYSTORE_PASSWORD",
                              "ASSAY_KAFKA_SSL_KEY_PASSWORD",
                              "ASSAY_MLFLOW_DB_PASSWORD",
                              "ASSAY_MLFLOW_PASSWORD",
                              "ASSAY_MLFLOW_TOKEN",
                              "ASSAY_MLFLOW_USERNAME",
                              "ASSAY_MODEL_API_KEY"};
  for (const auto& setting : settings_of_all_commands()) known.insert(variable_of(setting));
  std::string unknown;
  for (char** variable = environ; *variable; ++variable) {
    const std::string_view text(*variable);
    const std::string name(text.substr(0, text.find('=')));
    if (name.starts_with(variable_prefix) && !known.contains(name))
      unknown.append(unknown.empty() ? "" : ",").append(name);
  }
  return unknown;
}

bool is_process(const CLI::App& app) {
  return std::ranges::any_of(all_commands, [&app](const Command& command) {
    return command.drains && app.get_name() == "assay " + std::string(command.name);
  });
}

}  // namespace

void share_settings(std::span<const Command> commands) { all_commands = commands; }

std::string duration_text(milliseconds duration) {
  if (duration.count() == 0) return "0s";
  for (auto unit = std::rbegin(units); unit != std::rend(units); ++unit)
    if (duration.count() % unit->ms == 0) return std::to_string(duration.count() / unit->ms) + std::string(unit->name);
  return {};
}

void add_duration(CLI::App& app, const std::string& flag, std::chrono::milliseconds& target, const std::string& help,
                  std::chrono::milliseconds least) {
  add(app, flag, target, help, least);
}
void add_duration(CLI::App& app, const std::string& flag, std::chrono::seconds& target, const std::string& help,
                  std::chrono::milliseconds least) {
  add(app, flag, target, help, least);
}

static CLI::Validator count_from(std::uint64_t least) {
  auto check = [least](std::string& text) {
    const auto number = parse_number<std::uint64_t>(text);
    if (number && *number >= least && *number <= count_max) return std::string();
    return fmt::format("\"{}\" is not a whole number of {} or more, and at most {}", text, least, count_max);
  };
  return {check, fmt::format("AT LEAST {}", least)};
}

CLI::Validator at_least_one() { return count_from(1); }
CLI::Validator zero_or_more() { return count_from(0); }

CLI::Validator size_from(std::uint64_t least) {
  auto check = [least](std::string& text) {
    const auto bytes = parse_size(text);
    if (!bytes)
      return fmt::format("\"{}\" is not a size such as 65536, 512KB, 64MB or 1GB, of a petabyte at most", text);
    if (*bytes < least) return fmt::format("it is less than {}", least);
    text = std::to_string(*bytes);
    return std::string();
  };
  return {check, "SIZE"};
}

Parsed parse(CLI::App& app, std::vector<std::string> args, const Settle& settle) {
  std::string level = "info";
  bool check = false;
  app.add_option("--log-level", level, "trace, debug, info, warn, error or off")->capture_default_str();
  app.add_flag("--check", check, "Print the settings that would run, and end")->configurable(false);
  app.config_formatter(std::make_shared<ConfigFile>());
  app.set_config("--config", "", "A TOML file of settings, by the flags' names")
      ->envname("ASSAY_CONFIG")
      ->check(CLI::Validator([](std::string& path) { return problem_with_config_file(path); }, ""));
  app.allow_config_extras(CLI::config_extras_mode::ignore_all);  // look_at_config does
  name_environment(app);
  if (wanted_names) {
    tell_names(app);
    return {false, ok};
  }
  take_one_value_each(app);
  prepend_environment(app, args);
  std::reverse(args.begin(), args.end());  // CLI11 takes them from the back
  FileKeys keys;
  try {
    app.parse(std::move(args));
    keys = look_at_config(app);
  } catch (const CLI::FileError& e) {
    return {false, complain("--config: " + std::string(e.what()), usage)};
  } catch (const CLI::ParseError& e) {
    return {false, app.exit(e) == 0 ? ok : usage};
  }
  if (keys.problem) return {false, complain("--config: " + *keys.problem, usage)};
  if (!set_up_log(level))
    return {false, complain("--log-level: " + level + " is not trace, debug, info, warn, error or off", usage)};
  if (settle)
    if (const auto problem = settle()) return {false, complain(*problem, usage)};
  if (!keys.of_others.empty() && is_process(app))
    spdlog::warn("event=settings_of_other_commands keys={} act=\"passed over\"", keys.of_others);
  if (is_process(app))
    if (const auto unknown = unknown_variables(); !unknown.empty())
      spdlog::warn("event=settings_of_no_command variables={} act=\"passed over\"", log_value(unknown));
  if (check) {
    std::cout << settings_text(app);
    return {false, ok};
  }
  return {true, ok};
}

bool says(const std::vector<std::string>& args, const std::string& flag) {
  return std::ranges::any_of(args, [&](const auto& arg) { return arg == flag || arg.starts_with(flag + "="); });
}

std::optional<std::string> problem_with_url(const std::string& flag, const std::string& url) {
  if (!parse_http_url(url)) return flag + ": it is not an http:// or https:// URL, or it carries a user or a password";
  // As a browser shows a page there. What is asked of the server is put behind it, where nobody would look.
  if (url.find_first_of("?#") != url.npos)
    return flag + ": it has a query or a fragment: leave out what begins with ? or #";
  return {};
}

int complain(const std::string& problem, int code) {
  std::cerr << "assay: " << problem << std::endl;
  return code;
}

}  // namespace assay::cli
