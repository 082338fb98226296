#include "storage/store/feedback_value.hpp"

#include <simdjson.h>

namespace assay {

FeedbackValue feedback_value(std::string_view assessment_json) {
  thread_local simdjson::dom::parser parser;
  simdjson::dom::element value;
  if (parser.parse(assessment_json.data(), assessment_json.size()).at_pointer("/feedback/value").get(value)) return {};
  bool truth;
  double number;
  std::string_view text;
  if (!value.get(truth)) return truth;
  if (!value.get(number)) return number;
  if (!value.get(text)) return std::string(text);
  if (value.is_null()) return {};
  return Composite{simdjson::minify(value)};
}

bool truthy(const FeedbackValue& value) {
  if (const auto* truth = std::get_if<bool>(&value)) return *truth;
  if (const auto* number = std::get_if<double>(&value)) return *number != 0;
  if (const auto* text = std::get_if<std::string>(&value)) return !text->empty();
  if (const auto* composite = std::get_if<Composite>(&value)) return composite->json.size() > 2;
  return false;
}

}  // namespace assay
