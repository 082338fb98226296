#pragma once
#include <algorithm>
#include <string_view>

namespace assay {

// The longest beginning of `text` (valid UTF-8) that has at most `bytes_max` bytes and ends between two characters.
inline std::string_view utf8_prefix(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  while (bytes_max > 0 && (static_cast<unsigned char>(text[bytes_max]) & 0xC0) == 0x80) --bytes_max;
  return text.substr(0, bytes_max);
}

inline bool begins_utf8(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

// How many characters `text` (valid UTF-8) has, and its first ones: lengths as MLflow counts them.
inline std::size_t utf8_characters(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), begins_utf8));
}
inline std::string_view utf8_first(std::string_view text, std::size_t characters_max) {
  std::size_t n = 0;
  for (std::size_t at = 0; at < text.size(); ++at)
    if (begins_utf8(text[at]) && n++ == characters_max) return text.substr(0, at);
  return text;
}

}  // namespace assay
