#pragma once
#include <algorithm>
#include <string_view>

namespace assay {

// The text without the blanks around it.
inline std::string_view trimmed(std::string_view text, std::string_view blanks = " \t") {
  text.remove_prefix(std::min(text.size(), text.find_first_not_of(blanks)));
  return text.substr(0, text.find_last_not_of(blanks) + 1);
}

}  // namespace assay
