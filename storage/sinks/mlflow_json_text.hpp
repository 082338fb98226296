#pragma once
// What stands in JSON, as texts of the length and kind that MLflow's columns take.
#include <simdjson.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "storage/records/python_text.hpp"
#include "storage/records/utf8.hpp"
#include "storage/sinks/mlflow_columns.hpp"

namespace assay::mlflow {

namespace dom = simdjson::dom;
inline constexpr std::size_t id_max = 50, name_max = 250;  // characters

inline std::size_t characters(std::string_view text) { return utf8_characters(text); }
inline std::string cut(std::string_view text, std::size_t characters_max) {
  return std::string(utf8_first(text, characters_max));
}
inline bool is_text(std::string_view text) { return text.find('\0') == text.npos; }

inline Text text_in(dom::element object, std::string_view pointer) {
  std::string_view text;
  if (object.at_pointer(pointer).get_string().get(text)) return {};
  return std::string(text);
}
inline Text not_empty(Text text) { return text && !text->empty() ? std::move(text) : Text(); }
inline std::optional<dom::element> parsed(dom::parser& parser, std::string_view json) {
  dom::element root;
  if (parser.parse(json.data(), json.size()).get(root)) return {};
  return root;
}
inline std::optional<std::map<std::string, std::string>> strings_of(dom::element object) {
  std::map<std::string, std::string> out;
  dom::object members;
  if (object.get_object().get(members)) return {};
  for (const auto [key, member] : members) {
    std::string_view text;
    if (member.is_null()) continue;
    std::string value;
    if (!member.get_string().get(text))
      value = text;
    else
      append_python_json(value, member);
    out[std::string(key)] = std::move(value);
  }
  return out;
}

inline std::int64_t ms_of(const Text& time, Instant otherwise) {
  const auto at = time ? parse_time(*time) : std::nullopt;
  return at.value_or(otherwise).time_since_epoch().count();
}

}  // namespace assay::mlflow
