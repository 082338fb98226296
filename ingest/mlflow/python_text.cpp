#include "ingest/mlflow/python_text.hpp"

#include <string_view>

#include "storage/store/filter/python_json.hpp"

namespace assay {
namespace {

namespace json = boost::json;

// In single quotes, or in double ones where that saves a backslash.
void append_repr(std::string& out, std::string_view text) {
  constexpr std::string_view hex = "0123456789abcdef";
  const char quote = text.find('\'') != text.npos && text.find('"') == text.npos ? '"' : '\'';
  out += quote;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const char escaped = c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : c == '\\' || c == quote ? c : '\0';
    if (escaped != '\0') {
      out += '\\';
      out += escaped;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\x";
      out += hex[byte >> 4];
      out += hex[byte & 15];
    } else {
      out += c;
    }
  }
  out += quote;
}

void append_repr(std::string& out, const json::value& value) {
  std::string_view between;
  if (value.is_null()) {
    out += "None";
  } else if (const auto* truth = value.if_bool()) {
    out += *truth ? "True" : "False";
  } else if (const auto* text = value.if_string()) {
    append_repr(out, std::string_view(text->data(), text->size()));
  } else if (const auto* list = value.if_array()) {
    out += '[';
    for (const auto& element : *list) {
      out += between;
      append_repr(out, element);
      between = ", ";
    }
    out += ']';
  } else if (const auto* object = value.if_object()) {
    out += '{';
    for (const auto& [key, element] : *object) {
      out += between;
      append_repr(out, std::string_view(key.data(), key.size()));
      out += ": ";
      append_repr(out, element);
      between = ", ";
    }
    out += '}';
  } else {
    out += python_json(value);
  }
}

}  // namespace

std::string python_str(const json::value& value) {
  if (const auto* text = value.if_string()) return {text->data(), text->size()};
  std::string out;
  append_repr(out, value);
  return out;
}

}  // namespace assay
