#pragma once
// What keeps a process from its work.
#include <string>
#include <utility>

#include "ops/cli/options.hpp"

namespace assay::cli {

// In a sentence, and what the process ends with: `usage` where it is a setting, which would be as wrong a second later.
struct Problem {
  Problem() = default;
  Problem(std::string t, int c = failure) : text(std::move(t)), code(c) {}
  std::string text;
  int code = failure;
};
inline int complain(const Problem& problem) { return complain(problem.text, problem.code); }

}  // namespace assay::cli
