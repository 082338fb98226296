#pragma once
// The text of a JSON value as it stands in the document, so that a number or an escape is kept as it was written.
#include <simdjson.h>

#include <optional>
#include <string_view>

namespace assay {

// None: malformed. Valid as long as the document's text.
inline std::optional<std::string_view> raw_json(simdjson::ondemand::value value) {
  simdjson::ondemand::json_type type;
  if (value.type().get(type)) return {};
  std::string_view raw;
  if (type == simdjson::ondemand::json_type::object) {
    simdjson::ondemand::object object;
    if (value.get_object().get(object) || object.raw_json().get(raw)) return {};
  } else if (type == simdjson::ondemand::json_type::array) {
    simdjson::ondemand::array array;
    if (value.get_array().get(array) || array.raw_json().get(raw)) return {};
  } else {
    raw = value.raw_json_token();
  }
  const auto end = raw.find_last_not_of(" \t\r\n");
  return end == raw.npos ? raw : raw.substr(0, end + 1);
}

}  // namespace assay
