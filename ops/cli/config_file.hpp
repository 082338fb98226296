#pragma once
// A file for --config, read: CLI11's own reader knows no escapes and no list over several lines, and passes over in
// silence what it does not understand.
#include <CLI/CLI.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "ops/runtime/result.hpp"

namespace assay::cli {

// What it sets, in its order, or in words with the line what is wrong, "line 3: …". The part of TOML that settings
// need: KEY = VALUE, where a value is a text in quotes, a number, a truth, or a list of these in brackets; comments.
// Beyond TOML a text of one word needs no quotes (30s, 127.0.0.1:80).
Result<std::vector<CLI::ConfigItem>, std::string> read_config_text(std::string_view text);

// What is wrong with a file, with its name; empty: nothing. One that can't be read is CLI11's to tell.
std::string problem_with_config_file(const std::string& path);

// How CLI11 reads such a file.
class ConfigFile : public CLI::ConfigBase {
 public:
  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override;
};

}  // namespace assay::cli
