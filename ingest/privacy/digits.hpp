#pragma once
// Numbers as people write them: groups of digits with a separator between.
#include <cstddef>
#include <string_view>

namespace assay {

// In a text: [from, to).
struct DigitMatch {
  std::size_t from, to;
};

inline bool is_digit(char c) { return c >= '0' && c <= '9'; }

// As \b has it.
inline bool is_word(char c) { return is_digit(c) || c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// The bytes of the separator that the text begins with: a space, dot or hyphen, those that don't break a line, too.
inline std::size_t separator_bytes(std::string_view text) {
  if (text.empty()) return 0;
  if (text[0] == ' ' || text[0] == '-' || text[0] == '.') return 1;
  for (const std::string_view wide : {"\u00a0", "\u2007", "\u2009", "\u202f", "\u2010", "\u2011", "\u2013"})
    if (text.starts_with(wide)) return wide.size();
  return 0;
}

}  // namespace assay
