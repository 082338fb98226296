#include <map>

#include "storage/records/json_writer.hpp"
#include "storage/store/feedback_value.hpp"
#include "storage/store/store.hpp"

namespace assay {
namespace {

constexpr std::size_t tag_bytes_max = 4000;  // MLflow's column holds 8000

bool plain(std::string_view text) {
  for (const char c : text)
    if (c == ',' || c == '=' || c == '"' || static_cast<unsigned char>(c) < 0x20) return false;
  return true;
}

void append_text(std::string& out, std::string_view text) {
  if (plain(text))
    out += text;
  else
    append_json_string(out, text);
}

std::string tag_text(const FeedbackValue& value) {
  std::string out;
  if (const auto* truth = std::get_if<bool>(&value)) return *truth ? "true" : "false";
  if (const auto* number = std::get_if<double>(&value)) {
    JsonWriter(out).value(*number);
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    append_text(out, *text);
  } else if (const auto* composite = std::get_if<Composite>(&value)) {
    return composite->json.starts_with('[') ? "[…]" : "{…}";
  } else {
    return "null";
  }
  return out;
}

}  // namespace

std::string feedback_tag(const std::vector<Store::Assessment>& assessments) {
  struct Last {
    Stamp stamp;
    std::string id, json;
  };
  std::map<std::string, Last> by_name;
  for (const auto& assessment : assessments) {
    if (!assessment.valid) continue;
    auto json = assessment.row.json(true);
    if (json.find("\"feedback\":") == json.npos) continue;
    Last last{assessment.row.value_stamp(), assessment.id, std::move(json)};
    auto& known = by_name[assessment.row.name()];
    if (known.json.empty() || std::tie(known.stamp, known.id) < std::tie(last.stamp, last.id)) known = std::move(last);
  }
  std::string out;
  for (const auto& [name, last] : by_name) {
    std::string part = out.empty() ? "" : ",";
    append_text(part, name);
    part += '=';
    part += tag_text(feedback_value(last.json));
    if (out.size() + part.size() > tag_bytes_max) break;
    out += part;
  }
  return out;
}

}  // namespace assay
