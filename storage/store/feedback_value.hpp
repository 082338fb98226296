#pragma once
// The value of a feedback, as figures and tags need it.
#include <string>
#include <string_view>
#include <variant>

namespace assay {

// One of: none (null, an error, or no feedback), a truth, a number, a string, or a list or an object as JSON.
struct Composite {
  std::string json;
};
using FeedbackValue = std::variant<std::monostate, bool, double, std::string, Composite>;

// Of MLflow's JSON of an assessment.
FeedbackValue feedback_value(std::string_view assessment_json);
// As Python's bool(): what the guide counts as positive.
bool truthy(const FeedbackValue& value);

}  // namespace assay
