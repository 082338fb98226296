#pragma once
// What is wrong with a file for --config. CLI11 reads it, and passes over in silence what it does not understand.
#include <string>
#include <string_view>

namespace assay::cli {

// In words with the line, "line 3: …"; empty: nothing. The part of TOML that settings need: KEY = VALUE, where a value
// is a text in quotes, a number, a truth, or a list of these in brackets; comments.
std::string problem_with_config_text(std::string_view text);

// The same of a file, with its name. One that can't be read is CLI11's to tell.
std::string problem_with_config_file(const std::string& path);

}  // namespace assay::cli
