#pragma once
#include <string_view>

namespace assay {

// The longest beginning of `text` (valid UTF-8) that has at most `bytes_max` bytes and ends between two characters.
inline std::string_view utf8_prefix(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  while (bytes_max > 0 && (static_cast<unsigned char>(text[bytes_max]) & 0xC0) == 0x80) --bytes_max;
  return text.substr(0, bytes_max);
}

}  // namespace assay
