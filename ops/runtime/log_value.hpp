#pragma once
#include <string>
#include <string_view>

namespace assay {

// What another program has said, as the value of a field: in quotes, those in it escaped, control characters
// as spaces, cut behind `bytes_max`.
std::string log_value(std::string_view text, std::size_t bytes_max = 500);

}  // namespace assay
