#pragma once
// The fields of a body for feedback, taken and checked one by one, and how they stand in MLflow's JSON of an
// assessment. Pure.
#include <simdjson.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ingest/http/error_response.hpp"
#include "ops/runtime/result.hpp"
#include "storage/records/json_writer.hpp"

namespace assay {

// What was not taken at the end is unknown. Of very many fields the rest is not looked at: some of the first ones are
// left over, and each is compared with all before it. Lives as long as what was parsed.
class BodyFields {
 public:
  static Result<BodyFields, Rejection> of(simdjson::dom::element element);

  std::optional<simdjson::dom::element> take(std::string_view name);
  // A string of at most `bytes_max` without U+0000; none: it is missing.
  Result<std::optional<std::string_view>, Rejection> take_text(std::string_view name, std::size_t bytes_max);
  // The same, and null is as good as none.
  Result<std::optional<std::string_view>, Rejection> take_text_or_null(std::string_view name, std::size_t bytes_max);
  // The first field that nobody took.
  std::optional<Rejection> left_over() const;

 private:
  std::vector<std::pair<std::string_view, simdjson::dom::element>> fields_;
};

// The refusal of what is JSON and means nothing here.
Rejection unprocessable(std::string_view field, std::string reason);
std::optional<Rejection> problem_with_text(std::string_view field, std::string_view text, std::size_t bytes_max);

// `"feedback":{"value":…}`, of the field "value", or of "is_correct", which is short for a boolean one.
std::optional<Rejection> write_feedback_value(JsonWriter& json, simdjson::dom::element value);
std::optional<Rejection> write_is_correct(JsonWriter& json, simdjson::dom::element is_correct);
// `"metadata":{…}`, strings to strings, where it is given.
std::optional<Rejection> write_metadata(JsonWriter& json, BodyFields& fields);

// What stands between the braces of `object`.
std::string members_of(const std::string& object);

}  // namespace assay
