#include "storage/store/feedback_tag.hpp"

#include <algorithm>
#include <tuple>

#include "storage/records/json_writer.hpp"

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

std::string feedback_tag(std::vector<TaggedValue> values) {
  std::sort(values.begin(), values.end(), [](const TaggedValue& a, const TaggedValue& b) {
    return std::tie(a.name, a.last, a.id) < std::tie(b.name, b.last, b.id);
  });
  std::string out;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i + 1 < values.size() && values[i + 1].name == values[i].name) continue;
    std::string part = out.empty() ? "" : ",";
    append_text(part, values[i].name);
    part += '=';
    part += tag_text(values[i].value);
    if (out.size() + part.size() > tag_bytes_max) break;
    out += part;
  }
  return out;
}

}  // namespace assay
