#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
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

// `code` is no half of a surrogate pair, and 10FFFF at most.
inline void append_utf8(std::string& out, std::uint32_t code) {
  const auto byte = [&out](std::uint32_t bits) { out += static_cast<char>(bits); };
  const auto rest = [&](int shift) { byte(0x80 | (code >> shift & 0x3f)); };
  if (code < 0x80) return byte(code);
  if (code < 0x800) return byte(0xc0 | code >> 6), rest(0);
  if (code < 0x10000) return byte(0xe0 | code >> 12), rest(6), rest(0);
  byte(0xf0 | code >> 18), rest(12), rest(6), rest(0);
}

}  // namespace assay
