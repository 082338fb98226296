#include "storage/records/python_text.hpp"

#include <charconv>
#include <cmath>
#include <optional>

namespace assay {
namespace {

namespace json = boost::json;
namespace dom = simdjson::dom;

constexpr std::string_view digits = "0123456789abcdef";

// As JSON escapes a UTF-16 code unit.
void append_unit(std::string& out, std::uint32_t unit) {
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += digits[unit >> shift & 15];
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

// What stands behind a backslash for `c`; 0: nothing does.
char json_escape(char c) {
  switch (c) {
    case '"':
    case '\\':
      return c;
    case '\n':
      return 'n';
    case '\r':
      return 'r';
    case '\t':
      return 't';
    case '\b':
      return 'b';
    case '\f':
      return 'f';
    default:
      return 0;
  }
}

// What repr() of a str and of bytes share: single quotes, or double ones where that saves a backslash. `last`: the last
// byte that is printed as it is.
void append_quoted(std::string& out, std::string_view text, unsigned char last) {
  const char quote = text.find('\'') != text.npos && text.find('"') == text.npos ? '"' : '\'';
  out += quote;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const char escaped = c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : c == '\\' || c == quote ? c : '\0';
    if (escaped != '\0')
      out += {'\\', escaped};
    else if (byte < 0x20 || byte == 0x7f || byte > last)
      out += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
    else
      out += c;
  }
  out += quote;
}

std::string_view view_of(const json::string& text) { return {text.data(), text.size()}; }

template <class Whole>
void append_whole(std::string& out, Whole number, PythonJson how) {
  out += how.doubles ? python_float(static_cast<double>(number)) : std::to_string(number);
}

void append(std::string& out, const json::value& value, PythonJson how) {
  std::string_view between;
  switch (value.kind()) {
    case json::kind::null:
      out += "null";
      return;
    case json::kind::bool_:
      out += value.get_bool() ? "true" : "false";
      return;
    case json::kind::int64:
      return append_whole(out, value.get_int64(), how);
    case json::kind::uint64:
      return append_whole(out, value.get_uint64(), how);
    case json::kind::double_:
      out += python_float(value.get_double());
      return;
    case json::kind::string:
      return append_python_string(out, view_of(value.get_string()), how.ascii);
    case json::kind::array:
      out += '[';
      for (const auto& element : value.get_array()) {
        append(out += between, element, how);
        between = ", ";
      }
      out += ']';
      return;
    case json::kind::object:
      out += '{';
      for (const auto& [key, element] : value.get_object()) {
        append_python_string(out += between, {key.data(), key.size()}, how.ascii);
        append(out += ": ", element, how);
        between = ", ";
      }
      out += '}';
      return;
  }
}

void append_repr(std::string& out, const json::value& value) {
  std::string_view between;
  if (value.is_null()) {
    out += "None";
  } else if (const auto* truth = value.if_bool()) {
    out += *truth ? "True" : "False";
  } else if (const auto* text = value.if_string()) {
    append_quoted(out, view_of(*text), 0xff);
  } else if (const auto* list = value.if_array()) {
    out += '[';
    for (const auto& element : *list) {
      append_repr(out += between, element);
      between = ", ";
    }
    out += ']';
  } else if (const auto* object = value.if_object()) {
    out += '{';
    for (const auto& [key, element] : *object) {
      append_quoted(out += between, {key.data(), key.size()}, 0xff);
      append_repr(out += ": ", element);
      between = ", ";
    }
    out += '}';
  } else {
    out += python_json(value);
  }
}

}  // namespace

void append_python_string(std::string& out, std::string_view text, bool ascii) {
  out += '"';
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    const auto byte = static_cast<unsigned char>(c);
    if (const char escaped = json_escape(c); escaped != 0) {
      out += {'\\', escaped};
    } else if (byte < 0x20 || (byte == 0x7f && ascii)) {
      append_unit(out, byte);
    } else if (byte < 0x80 || !ascii) {
      out += c;
    } else if (const auto point = code_point(text, at); point >= 0x10000) {
      append_unit(out, 0xd800 + ((point - 0x10000) >> 10));
      append_unit(out, 0xdc00 + ((point - 0x10000) & 0x3ff));
    } else {
      append_unit(out, point);
    }
  }
  out += '"';
}

std::string python_float(double number) {
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number > 0 ? "Infinity" : "-Infinity";
  if (number == 0) return std::signbit(number) ? "-0.0" : "0.0";
  char buffer[40];
  const auto magnitude = std::abs(number);
  const bool scientific = magnitude < 1e-4 || magnitude >= 1e16;
  const auto format = scientific ? std::chars_format::scientific : std::chars_format::fixed;
  std::string text(buffer, std::to_chars(buffer, buffer + sizeof buffer, number, format).ptr);
  if (!scientific && text.find('.') == text.npos) text += ".0";
  return text;
}

std::string python_json(const json::value& value, PythonJson how) {
  std::string out;
  append(out, value, how);
  return out;
}

void append_python_json(std::string& out, dom::element value, PythonJson how) {
  std::string_view between;
  switch (value.type()) {
    case dom::element_type::OBJECT:
      out += '{';
      for (const auto [key, member] : dom::object(value)) {
        append_python_string(out += between, key, how.ascii);
        append_python_json(out += ": ", member, how);
        between = ", ";
      }
      out += '}';
      return;
    case dom::element_type::ARRAY:
      out += '[';
      for (const auto member : dom::array(value)) {
        append_python_json(out += between, member, how);
        between = ", ";
      }
      out += ']';
      return;
    case dom::element_type::STRING:
      return append_python_string(out, std::string_view(value), how.ascii);
    case dom::element_type::BOOL:
      out += bool(value) ? "true" : "false";
      return;
    case dom::element_type::NULL_VALUE:
      out += "null";
      return;
    case dom::element_type::DOUBLE:
      out += python_float(double(value));
      return;
    case dom::element_type::INT64:
      return append_whole(out, std::int64_t(value), how);
    case dom::element_type::UINT64:
      return append_whole(out, std::uint64_t(value), how);
  }
}

std::string python_str(const json::value& value) {
  if (const auto* text = value.if_string()) return std::string(view_of(*text));
  std::string out;
  append_repr(out, value);
  return out;
}

std::string python_bytes(std::string_view bytes) {
  std::string out = "b";
  append_quoted(out, bytes, 0x7e);
  return out;
}

}  // namespace assay
