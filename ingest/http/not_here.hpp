#pragma once
#include <string_view>

namespace assay {

// Whether `path` is `prefix`, or below it.
bool under(std::string_view path, std::string_view prefix);

// What MLflow's server has at this path and assay has nowhere, as a plural; empty: nothing.
std::string_view not_here(std::string_view path);

}  // namespace assay
