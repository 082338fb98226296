#include "storage/store/filter/python_json.hpp"

#include <charconv>
#include <cmath>

namespace assay {
namespace {

namespace json = boost::json;

void append_unit(std::string& out, std::uint32_t unit) {
  static constexpr char hex[] = "0123456789abcdef";
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += hex[unit >> shift & 15];
}

void append_string(std::string& out, std::string_view text, bool ascii) {
  out += '"';
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    switch (c) {
      case '"':
        out += "\\\"";
        continue;
      case '\\':
        out += "\\\\";
        continue;
      case '\n':
        out += "\\n";
        continue;
      case '\r':
        out += "\\r";
        continue;
      case '\t':
        out += "\\t";
        continue;
      case '\b':
        out += "\\b";
        continue;
      case '\f':
        out += "\\f";
        continue;
      default:
        break;
    }
    if (c < 0x20) {
      append_unit(out, c);
    } else if (c < 0x80 || !ascii) {
      out += static_cast<char>(c);
    } else {
      const int more = c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : 1;
      std::uint32_t code = c & (0x3F >> more);
      for (int k = 0; k < more && i + 1 < text.size(); ++k)
        code = code << 6 | (static_cast<unsigned char>(text[++i]) & 0x3F);
      if (code >= 0x10000) {
        code -= 0x10000;
        append_unit(out, 0xD800 + (code >> 10));
        append_unit(out, 0xDC00 + (code & 0x3FF));
      } else {
        append_unit(out, code);
      }
    }
  }
  out += '"';
}

void append(std::string& out, const json::value& value, bool doubles, bool ascii) {
  switch (value.kind()) {
    case json::kind::null:
      out += "null";
      break;
    case json::kind::bool_:
      out += value.get_bool() ? "true" : "false";
      break;
    case json::kind::int64:
      out += doubles ? python_float(static_cast<double>(value.get_int64())) : std::to_string(value.get_int64());
      break;
    case json::kind::uint64:
      out += doubles ? python_float(static_cast<double>(value.get_uint64())) : std::to_string(value.get_uint64());
      break;
    case json::kind::double_:
      out += python_float(value.get_double());
      break;
    case json::kind::string:
      append_string(out, {value.get_string().data(), value.get_string().size()}, ascii);
      break;
    case json::kind::array: {
      out += '[';
      bool first = true;
      for (const auto& element : value.get_array()) {
        if (!first) out += ", ";
        first = false;
        append(out, element, doubles, ascii);
      }
      out += ']';
      break;
    }
    case json::kind::object: {
      out += '{';
      bool first = true;
      for (const auto& [key, element] : value.get_object()) {
        if (!first) out += ", ";
        first = false;
        append_string(out, {key.data(), key.size()}, ascii);
        out += ": ";
        append(out, element, doubles, ascii);
      }
      out += '}';
      break;
    }
  }
}

}  // namespace

std::string python_float(double number) {
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number > 0 ? "Infinity" : "-Infinity";
  if (number == 0) return std::signbit(number) ? "-0.0" : "0.0";
  char digits[40];
  const auto magnitude = std::abs(number);
  const bool scientific = magnitude < 1e-4 || magnitude >= 1e16;
  const auto end = std::to_chars(digits, digits + sizeof digits, number,
                                 scientific ? std::chars_format::scientific : std::chars_format::fixed)
                       .ptr;
  std::string text(digits, end);
  if (!scientific && text.find('.') == text.npos) text += ".0";
  return text;
}

std::string python_json(const json::value& value, bool doubles, bool ascii) {
  std::string out;
  append(out, value, doubles, ascii);
  return out;
}

std::string python_bytes(std::string_view bytes) {
  constexpr std::string_view hex = "0123456789abcdef";
  const bool has = bytes.find('\'') != bytes.npos;
  const char quote = has && bytes.find('"') == bytes.npos ? '"' : '\'';
  std::string out{'b', quote};
  for (const unsigned char c : bytes) {
    const char escaped = c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : c == '\\' || c == quote ? char(c) : 0;
    if (escaped) {
      out += {'\\', escaped};
    } else if (c < 0x20 || c > 0x7e) {
      out += {'\\', 'x', hex[c >> 4], hex[c & 15]};
    } else {
      out += static_cast<char>(c);
    }
  }
  return out += quote;
}

}  // namespace assay
