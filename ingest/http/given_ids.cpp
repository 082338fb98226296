#include "ingest/http/given_ids.hpp"

#include <simdjson.h>

#include <algorithm>
#include <string>

#include "ingest/http/body_limits.hpp"
#include "storage/records/request_record.hpp"

namespace assay {

std::optional<Rejection> problem_with_id(std::string_view field, std::string_view id) {
  if (id.empty()) return Rejection{400, std::string(field), "it is empty"};
  if (id.size() > BodyLimits::id_bytes)
    return Rejection{400, std::string(field), "it is longer than " + std::to_string(BodyLimits::id_bytes) + " bytes"};
  if (has_control_character(id)) return Rejection{400, std::string(field), "it has control characters"};
  if (!simdjson::validate_utf8(id)) return Rejection{400, std::string(field), "it is not UTF-8"};
  return {};
}

std::optional<Rejection> problem_with_target_id(std::string_view field, std::string_view id) {
  if (auto problem = problem_with_id(field, id)) return problem;
  for (const std::string_view none : {"undefined", "null", "None", "NaN", "[object Object]"})
    if (id == none)
      return Rejection{422, std::string(field), "\"" + std::string(id) + "\" is no id: the page had none yet"};
  if (id.starts_with(' ') || id.ends_with(' '))
    return Rejection{422, std::string(field), "it has white space around it"};
  return {};
}

std::optional<Rejection> problem_with_name(std::string_view field, std::string_view id, std::string_view trace_id) {
  if (auto problem = problem_with_target_id(field, id)) return problem;
  if (may_name(id, trace_id)) return {};
  return Rejection{422, std::string(field), "it has the form of a trace's own id, and would not name this one"};
}

std::optional<Rejection> problem_with_key(std::string_view field, std::string_view key) {
  const bool visible = std::all_of(key.begin(), key.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; });
  if (key.empty() || key.size() > BodyLimits::key_bytes || !visible)
    return Rejection{400, std::string(field),
                     "it is not 1 to " + std::to_string(BodyLimits::key_bytes) + " visible ASCII characters"};
  return {};
}

bool has_control_character(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

}  // namespace assay
