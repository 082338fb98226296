#pragma once
#include <charconv>
#include <optional>
#include <string_view>
#include <type_traits>

namespace assay {

// The number that the text is from its first to its last character, as std::from_chars reads it: no blanks, no leading
// '+'; a real may be "inf" or "nan". None where there is more, nothing, or what T can't hold.
template <class T>
std::optional<T> parse_number(std::string_view text) {
  T number{};
  const auto* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number);
  if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
  return number;
}

// The same of a whole number in hexadecimal digits, without "0x".
template <class T>
requires std::is_integral_v<T> std::optional<T> parse_hex_number(std::string_view text) {
  T number{};
  const auto* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number, 16);
  if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
  return number;
}

}  // namespace assay
