#pragma once
// Values as PostgreSQL reads them.
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ops/runtime/hex.hpp"
#include "storage/sinks/pg_connection.hpp"

namespace assay::sql {

inline std::string array(const std::vector<std::string>& values) {
  PgArray out;
  for (const auto& value : values) out.add(std::string_view(value));
  return out.text();
}

// bytea, in and out.
inline std::string hex(std::string_view bytes) { return "\\x" + to_hex(bytes); }
inline std::string unhex(std::string_view text) {
  if (text.starts_with("\\x")) text.remove_prefix(2);
  return from_hex(text);
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
