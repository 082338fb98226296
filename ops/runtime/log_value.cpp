#include "ops/runtime/log_value.hpp"

#include <algorithm>

namespace assay {

std::string log_value(std::string_view text, std::size_t bytes_max) {
  auto end = std::min(text.size(), bytes_max);
  const auto inside = [&] { return end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80; };
  while (end > 0 && inside()) --end;  // no half of a character
  std::string out = "\"";
  for (const char c : text.substr(0, end)) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  if (end < text.size()) out += "…";
  return out + "\"";
}

}  // namespace assay
