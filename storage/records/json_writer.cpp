#include "storage/records/json_writer.hpp"

#include <cstdint>
#include <cstring>

namespace assay {
namespace {

// Whether one of eight bytes is a control character, a quote or a backslash. May say so of a byte behind one that is.
bool any_escaped(std::uint64_t eight) {
  constexpr std::uint64_t ones = 0x0101010101010101, tops = ones << 7;
  const auto has_zero = [](std::uint64_t x) { return (x - ones) & ~x; };
  const auto control = (eight - ones * 0x20) & ~eight;
  return (has_zero(eight ^ (ones * '"')) | has_zero(eight ^ (ones * '\\')) | control) & tops;
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  static constexpr char hex[] = "0123456789abcdef";
  out += '"';
  std::size_t plain = 0;  // start of what has not been copied yet
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (std::uint64_t eight; i + sizeof eight < text.size(); i += sizeof eight) {
      std::memcpy(&eight, text.data() + i, sizeof eight);
      if (any_escaped(eight)) break;
    }
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text, plain, i - plain);
    plain = i + 1;
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        out += "\\u00";
        out += hex[c >> 4];
        out += hex[c & 15];
    }
  }
  out.append(text, plain, text.size() - plain);
  out += '"';
}

}  // namespace assay
