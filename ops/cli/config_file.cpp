#include "ops/cli/config_file.hpp"

#include <simdjson.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

namespace assay::cli {
namespace {

constexpr std::string_view blank = " \t\r";

class ConfigText {
 public:
  explicit ConfigText(std::string_view text) : text_(text) {}

  std::string problem() {
    while (!at_end()) {
      const auto line = line_;
      if (auto problem = statement(); !problem.empty()) return "line " + std::to_string(line) + ": " + problem;
      if (!at_end()) take();
    }
    return {};
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

  std::string statement() {
    skip(blank);
    if (peek() == '\n' || peek() == '#') return line_end();
    if (peek() == '[') return section();
    const auto line = line_;
    auto key = take_until("=#\n");
    if (peek() != '=') return "it is not KEY = VALUE";
    take();
    while (!key.empty() && blank.find(key.back()) != blank.npos) key.remove_suffix(1);
    if (key.size() > 1 && key.front() == key.back() && (key.front() == '"' || key.front() == '\''))
      key = key.substr(1, key.size() - 2);
    for (const char c : key)
      if (!std::isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_' && c != '.') return "it has no key";
    if (key.empty()) return "it has no key";
    if (const auto [before, fresh] = lines_.emplace(section_ + std::string(key), line); !fresh)
      return std::string(key) + " is set in line " + std::to_string(before->second) + " already";
    skip(blank);
    auto problem = peek() == '[' ? list() : value();
    return problem.empty() ? line_end() : std::string(key) + ": " + problem;
  }

  std::string section() {
    section_ = take_until("]#\n");
    if (peek() != ']') return "a bracket is not closed";
    while (peek() == ']') take();
    return line_end();
  }

  std::string value() {
    const char quote = peek();
    if (quote != '"' && quote != '\'') return take_until(" \t\r\n#,[]\"'").empty() ? "it has no value" : "";
    take();
    for (char c = peek(); c != quote; c = peek()) {
      if (c == '\n') return "a quote is not closed";
      if (c == '#')
        return "a # can't stand in a file, quoted or not: give this by its flag or its environment variable";
      if (c == '\\' && quote == '"') take();
      if (peek() != '\n') take();
    }
    take();
    return {};
  }

  std::string list() {
    const auto line = line_;
    take();
    const std::string open = "a bracket is not closed";
    for (;;) {
      skip(" \t\r\n");
      if (at_end()) return open;
      if (peek() == ']') break;
      if (peek() == '#') return "a comment can't stand within a list";
      if (auto problem = value(); !problem.empty()) return line_ > line ? open + ", or " + problem : problem;
      skip(" \t\r\n");
      if (peek() == ',')
        take();
      else if (peek() != ']')
        return open;
    }
    take();
    skip(blank);
    if (peek() == '#' && line_ > line) return "a comment can't stand behind a list of several lines";
    return {};
  }

  const std::string_view text_;
  std::size_t at_ = 0;
  std::size_t line_ = 1;
  std::string section_;
  std::map<std::string, std::size_t> lines_;  // where each key is set
};

}  // namespace

std::string problem_with_config_text(std::string_view text) {
  if (!simdjson::validate_utf8(text.data(), text.size())) {
    std::size_t line = 1;
    for (auto rest = text; !rest.empty(); ++line) {
      const auto one = rest.substr(0, rest.find('\n'));
      if (!simdjson::validate_utf8(one.data(), one.size())) break;
      rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    }
    return "line " + std::to_string(line) + ": it is not UTF-8";
  }
  return ConfigText(text).problem();
}

std::string problem_with_config_file(const std::string& path) {
  std::error_code absent;
  const auto status = std::filesystem::status(path, absent);
  const bool is_file = std::filesystem::is_regular_file(status) || std::filesystem::is_character_file(status);
  if (std::filesystem::exists(status) && !is_file)
    return path + ": it is no file: settings are read more than once, which a pipe does not let";
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  auto problem = problem_with_config_text(text);
  return problem.empty() ? problem : path + ": " + problem;
}

}  // namespace assay::cli
