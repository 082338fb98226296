#pragma once
// Values as PostgreSQL reads them.
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/sinks/pg_connection.hpp"

namespace assay::sql {

inline std::string array(const std::vector<std::string>& values) {
  PgArray out;
  for (const auto& value : values) out.add(std::string_view(value));
  return out.text();
}

// bytea, in and out.
inline std::string hex(std::string_view bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out = "\\x";
  out.reserve(2 + 2 * bytes.size());
  for (const char c : bytes) {
    out += digits[static_cast<unsigned char>(c) >> 4];
    out += digits[static_cast<unsigned char>(c) & 15];
  }
  return out;
}
inline std::string unhex(std::string_view text) {
  std::string out;
  const auto digit = [](char c) { return c <= '9' ? c - '0' : (c | 32) - 'a' + 10; };
  for (std::size_t i = text.starts_with("\\x") ? 2 : 0; i + 1 < text.size(); i += 2)
    out += static_cast<char>(digit(text[i]) << 4 | digit(text[i + 1]));
  return out;
}

inline PgValue number(const std::optional<std::int64_t>& n) {
  if (!n) return {};
  return std::to_string(*n);
}
inline PgValue number(const std::optional<double>& n) {
  if (!n) return {};
  char text[32];
  return std::string(text, std::to_chars(text, text + sizeof text, *n).ptr);
}

}  // namespace assay::sql
