#pragma once
// Files and directories that flags name, looked at before anything is opened, so that --check finds what a start
// refuses. A problem is a sentence that names the flag and the path.
#include <optional>
#include <string>

namespace assay::cli {

// Certificates (PEM) to trust; an empty path is none.
std::optional<std::string> problem_with_ca_file(const std::string& flag, const std::string& path);

// A directory that is there, or can be made.
std::optional<std::string> problem_with_directory(const std::string& flag, const std::string& path);

}  // namespace assay::cli
