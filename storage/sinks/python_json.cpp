#include "storage/sinks/python_json.hpp"

#include <charconv>
#include <cmath>

namespace assay {
namespace {

void append_hex(std::string& out, unsigned unit) {
  static constexpr char digits[] = "0123456789abcdef";
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += digits[(unit >> shift) & 15];
}

// The code point that begins at text[at], which is valid UTF-8; moves `at` to its last byte.
char32_t code_point(std::string_view text, std::size_t& at) {
  const auto byte = static_cast<unsigned char>(text[at]);
  const int more = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
  char32_t point = byte & (0x3f >> more);
  for (int i = 0; i < more && at + 1 < text.size(); ++i)
    point = point << 6 | (static_cast<unsigned char>(text[++at]) & 0x3f);
  return point;
}

}  // namespace

void append_python_string(std::string& out, std::string_view text, bool ascii) {
  out += '"';
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\b') {
      out += "\\b";
    } else if (c == '\f') {
      out += "\\f";
    } else if (byte < 0x20 || (byte == 0x7f && ascii)) {
      append_hex(out, byte);
    } else if (byte < 0x80 || !ascii) {
      out += c;
    } else {
      const auto point = code_point(text, at);
      if (point >= 0x10000) {
        append_hex(out, 0xd800 + static_cast<unsigned>((point - 0x10000) >> 10));
        append_hex(out, 0xdc00 + static_cast<unsigned>((point - 0x10000) & 0x3ff));
      } else {
        append_hex(out, static_cast<unsigned>(point));
      }
    }
  }
  out += '"';
}

void append_python_float(std::string& out, double number) {
  // The shortest digits that read back the same, then laid out as repr() does.
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::scientific).ptr;
  std::string_view text(buffer, static_cast<std::size_t>(end - buffer));
  if (text.starts_with('-')) {
    out += '-';
    text.remove_prefix(1);
  }
  const auto e = text.find('e');
  int exponent = 0;
  const auto sign = text.substr(e + 1).starts_with('+') ? e + 2 : e + 1;
  std::from_chars(text.data() + sign, text.data() + text.size(), exponent);
  std::string digits(1, text.front());
  if (e > 1) digits += text.substr(2, e - 2);
  const int n = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    out += digits.front();
    if (n > 1) out.append(".").append(digits, 1);
    out += exponent < 0 ? "e-" : "e+";
    if (std::abs(exponent) < 10) out += '0';
    out += std::to_string(std::abs(exponent));
  } else if (exponent < 0) {
    out.append("0.").append(static_cast<std::size_t>(-exponent - 1), '0').append(digits);
  } else if (exponent + 1 >= n) {
    out.append(digits).append(static_cast<std::size_t>(exponent + 1 - n), '0').append(".0");
  } else {
    out.append(digits, 0, static_cast<std::size_t>(exponent + 1)).append(".");
    out.append(digits, static_cast<std::size_t>(exponent + 1));
  }
}

void append_python_json(std::string& out, simdjson::dom::element value, Numbers numbers, bool ascii) {
  using Type = simdjson::dom::element_type;
  switch (value.type()) {
    case Type::OBJECT: {
      out += '{';
      bool first = true;
      const simdjson::dom::object object = value.get_object().value_unsafe();
      for (const auto [key, member] : object) {
        if (!first) out += ", ";
        first = false;
        append_python_string(out, key, ascii);
        out += ": ";
        append_python_json(out, member, numbers, ascii);
      }
      out += '}';
      return;
    }
    case Type::ARRAY: {
      out += '[';
      bool first = true;
      const simdjson::dom::array array = value.get_array().value_unsafe();
      for (const auto member : array) {
        if (!first) out += ", ";
        first = false;
        append_python_json(out, member, numbers, ascii);
      }
      out += ']';
      return;
    }
    case Type::STRING:
      return append_python_string(out, value.get_string().value_unsafe(), ascii);
    case Type::BOOL:
      out += value.get_bool().value_unsafe() ? "true" : "false";
      return;
    case Type::NULL_VALUE:
      out += "null";
      return;
    case Type::DOUBLE:
      return append_python_float(out, value.get_double().value_unsafe());
    case Type::INT64:
    case Type::UINT64:
      break;
  }
  double number = 0;
  if (numbers == Numbers::doubles) {
    if (value.get_double().get(number)) number = 0;
    return append_python_float(out, number);
  }
  std::int64_t whole = 0;
  std::uint64_t large = 0;
  if (!value.get_int64().get(whole))
    out += std::to_string(whole);
  else if (!value.get_uint64().get(large))
    out += std::to_string(large);
}

}  // namespace assay
