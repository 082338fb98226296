#include "ops/cli/config_file.hpp"

#include <simdjson.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "ops/runtime/parse_number.hpp"
#include "storage/records/utf8.hpp"

namespace assay::cli {
namespace {

constexpr std::string_view blank = " \t\r";

// Goes over the text once. A part of it returns what is wrong there, in the line that was come to; empty: nothing.
class ConfigText {
 public:
  explicit ConfigText(std::string_view text) : text_(text) {}

  Result<std::vector<CLI::ConfigItem>, std::string> read() {
    while (!at_end()) {
      if (auto problem = statement(); !problem.empty()) return "line " + std::to_string(line_) + ": " + problem;
      if (!at_end()) take();
    }
    return std::move(items_);
  }

 private:
  bool at_end() const { return at_ == text_.size(); }
  char peek() const { return at_end() ? '\n' : text_[at_]; }
  char take() {
    if (peek() == '\n') ++line_;
    return text_[at_++];
  }
  void skip(std::string_view what) {
    while (!at_end() && what.find(peek()) != what.npos) take();
  }
  std::string_view take_until(std::string_view ends) {
    const auto from = at_;
    at_ = std::min(text_.find_first_of(ends, at_), text_.size());
    return text_.substr(from, at_ - from);
  }
  std::string line_end() {
    skip(blank);
    if (peek() == '#') take_until("\n");
    return peek() == '\n' ? "" : "there is more behind the value: a text stands in quotes, several in brackets";
  }
  void skip_lines() {
    for (skip(" \t\r\n"); peek() == '#'; skip(" \t\r\n")) take_until("\n");
  }

  std::string statement() {
    skip(blank);
    if (peek() == '\n' || peek() == '#') return line_end();
    if (peek() == '[') return section();
    auto key = take_until("=#\n");
    if (peek() != '=') return "it is not KEY = VALUE";
    take();
    while (!key.empty() && blank.find(key.back()) != blank.npos) key.remove_suffix(1);
    if (key.size() > 1 && key.front() == key.back() && (key.front() == '"' || key.front() == '\''))
      key = key.substr(1, key.size() - 2);
    for (const char c : key)
      if (!std::isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_' && c != '.') return "it has no key";
    if (key.empty()) return "it has no key";
    auto& item = items_.emplace_back();
    item.name = key;
    if (const auto [before, fresh] = lines_.emplace(item.name, line_); !fresh)
      return item.name + " is set in line " + std::to_string(before->second) + " already";
    skip(blank);
    auto problem = peek() == '[' ? list(item.inputs) : value(item.inputs.emplace_back());
    return problem.empty() ? line_end() : item.name + ": " + problem;
  }

  std::string section() {
    skip("[");
    const std::string name(take_until("]#\n"));
    if (peek() != ']') return "a bracket is not closed";
    skip("]");
    if (CLI::detail::to_lower(name) == "default") return line_end();  // so CLI11 calls the top of a file
    return "there is no section [" + name + "]: settings stand at the top of the file";
  }

  std::string value(std::string& into) {
    const char quote = peek();
    if (quote != '"' && quote != '\'') {
      into = take_until(" \t\r\n#,[]\"'");
      return into.empty() ? "it has no value" : "";
    }
    for (take(); peek() != quote;) {
      if (peek() == '\n') return "a quote is not closed";
      if (peek() != '\\' || quote == '\'')
        into += take();
      else if (auto problem = escape(into); !problem.empty())
        return problem;
    }
    take();
    return {};
  }

  // TOML's, but for \b: who writes a pattern means the edge of a word, and would get a backspace without a word.
  std::string escape(std::string& into) {
    const auto from = at_;
    take();
    const char name = peek();
    if (name == '\n' || name == '\r') return "a quote is not closed";
    take();
    constexpr std::string_view names = "\"\\tnrf", meant = "\"\\\t\n\r\f";
    if (const auto known = names.find(name); known != names.npos) return into += meant[known], "";
    if (name == 'u' || name == 'U') return character(name == 'u' ? 4 : 8, into);
    while (!at_end() && !begins_utf8(peek())) take();
    return std::string(text_.substr(from, at_ - from)) +
           " can't stand in double quotes: put the text into single quotes, or double the backslash";
  }

  std::string character(std::size_t digits, std::string& into) {
    const auto hex = text_.substr(at_, digits);
    const auto code = parse_hex_number<std::uint32_t>(hex);
    const bool is_character = code && *code > 0 && *code <= 0x10FFFF && (*code < 0xD800 || *code >= 0xE000);
    if (hex.size() < digits || !is_character)
      return "behind \\" + std::string(digits == 4 ? "u" : "U") + " stand the " + std::to_string(digits) +
             " hexadecimal digits of a character: put the text into single quotes, or double the backslash";
    at_ += digits;
    append_utf8(into, *code);
    return {};
  }

  std::string list(std::vector<std::string>& into) {
    const auto line = line_;
    take();
    for (;;) {
      skip_lines();
      if (peek() == ']') break;
      if (!at_end())
        if (auto problem = value(into.emplace_back()); !problem.empty()) return problem;
      skip_lines();
      if (peek() == ',') {
        take();
      } else if (peek() != ']') {
        line_ = line;  // where it was opened
        return "a bracket is not closed";
      }
    }
    take();
    return {};
  }

  const std::string_view text_;
  std::size_t at_ = 0;
  std::size_t line_ = 1;
  std::vector<CLI::ConfigItem> items_;
  std::map<std::string, std::size_t> lines_;  // where each key is set
};

std::string text_of(std::istream& input) { return {std::istreambuf_iterator<char>(input), {}}; }

}  // namespace

Result<std::vector<CLI::ConfigItem>, std::string> read_config_text(std::string_view text) {
  if (!simdjson::validate_utf8(text.data(), text.size())) {
    std::size_t line = 1;
    for (auto rest = text; !rest.empty(); ++line) {
      const auto one = rest.substr(0, rest.find('\n'));
      if (!simdjson::validate_utf8(one.data(), one.size())) break;
      rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    }
    return "line " + std::to_string(line) + ": it is not UTF-8";
  }
  return ConfigText(text).read();
}

std::string problem_with_config_file(const std::string& path) {
  std::error_code absent;
  const auto status = std::filesystem::status(path, absent);
  const bool is_file = std::filesystem::is_regular_file(status) || std::filesystem::is_character_file(status);
  if (std::filesystem::exists(status) && !is_file)
    return path + ": it is no file: settings are read more than once, which a pipe does not let";
  std::ifstream file(path, std::ios::binary);
  const auto read = read_config_text(text_of(file));
  return read ? std::string() : path + ": " + read.error();
}

std::vector<CLI::ConfigItem> ConfigFile::from_config(std::istream& input) const {
  auto read = read_config_text(text_of(input));
  if (!read) throw CLI::ConfigError("--config: " + read.error(), CLI::ExitCodes::ConfigError);
  return std::move(*read);
}

}  // namespace assay::cli
