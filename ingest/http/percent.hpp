#pragma once
// Percent-decoding of what stands in a target.
#include <optional>
#include <string>
#include <string_view>

namespace assay {

// None: a percent sign without two hex digits behind it. `plus_is_space`: in queries.
std::optional<std::string> percent_decoded(std::string_view text, bool plus_is_space = false);

}  // namespace assay
