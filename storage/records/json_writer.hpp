#pragma once
// Appends JSON to a string that the caller keeps: no tree, no allocation of its own. The hot path writes each record
// once with it (simdjson 3.0 reads but does not write). The caller's calls must nest properly; asserts say where they
// don't.
#include <cassert>
#include <charconv>
#include <cmath>
#include <concepts>
#include <string>
#include <string_view>

namespace assay {

// Appends `text`, which must be valid UTF-8, as a JSON string with its quotes.
void append_json_string(std::string& out, std::string_view text);

class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) : out_(out) {}

  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }

  JsonWriter& key(std::string_view name) {
    comma();
    append_json_string(out_, name);
    out_ += ':';
    first_ = true;  // its value takes no comma
    return *this;
  }
  JsonWriter& value(std::string_view text) {
    comma();
    append_json_string(out_, text);
    return *this;
  }
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(bool b) { return raw(b ? "true" : "false"); }
  JsonWriter& value(std::integral auto n) {
    char digits[24];
    const auto end = std::to_chars(digits, digits + sizeof digits, n).ptr;
    return raw({digits, static_cast<std::size_t>(end - digits)});
  }
  // Shortest form that reads back the same; JSON has no infinities.
  JsonWriter& value(double n) {
    if (!std::isfinite(n)) return raw("null");
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof digits, n).ptr;
    std::string_view text(digits, static_cast<std::size_t>(end - digits));
    raw(text);
    if (text.find_first_of(".e") == text.npos) out_ += ".0";  // a double stays one for a reader with two number types
    return *this;
  }
  JsonWriter& null() { return raw("null"); }
  // `json` is one complete JSON value.
  JsonWriter& raw(std::string_view json) {
    comma();
    out_ += json;
    return *this;
  }
  template <class T>
  JsonWriter& field(std::string_view name, const T& v) {
    return key(name).value(v);
  }
  JsonWriter& raw_field(std::string_view name, std::string_view json) { return key(name).raw(json); }

 private:
  void comma() {
    if (!first_) out_ += ',';
    first_ = false;
  }
  JsonWriter& open(char c) {
    comma();
    out_ += c;
    first_ = true;
    return *this;
  }
  JsonWriter& close(char c) {
    out_ += c;
    first_ = false;
    return *this;
  }

  std::string& out_;
  bool first_ = true;
};

}  // namespace assay
