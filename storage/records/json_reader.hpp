#pragma once
// Reading JSON objects with simdjson on demand. A JsonReader keeps the parser and a padded copy of the text: what is
// read from it is valid until its next parse. Not thread-safe; keep one a thread or a function.
//
// simdjson checks UTF-8 and structure of the whole text when it starts; a value's own syntax is checked when it is
// read, so a caller that must be strict walks every field (for_each_field does).
#include <simdjson.h>

#include <string>
#include <string_view>

#include "ops/runtime/result.hpp"

namespace assay {

class JsonReader {
 public:
  // The top-level object of `text`, or why there is none, in words.
  Result<simdjson::ondemand::object, std::string> parse(std::string_view text) {
    padded_.assign(text);
    padded_.reserve(text.size() + simdjson::SIMDJSON_PADDING);
    if (const auto e = parser_.iterate(simdjson::padded_string_view(padded_.data(), padded_.size(), padded_.capacity()))
                           .get(document_))
      return std::string(simdjson::error_message(e));
    simdjson::ondemand::object object;
    if (const auto e = document_.get_object().get(object))
      return std::string("not a JSON object: ") + simdjson::error_message(e);
    return object;
  }
  // After the object has been walked: whether nothing but white space follows it.
  bool at_end() { return document_.current_location().error() == simdjson::OUT_OF_BOUNDS; }

 private:
  std::string padded_;
  simdjson::ondemand::parser parser_;
  simdjson::ondemand::document document_;
};

// False where it is neither null nor another value: v.is_null() alone would throw.
inline bool read_null(simdjson::ondemand::value v, bool& null) { return !v.is_null().get(null); }
inline bool is_null(simdjson::ondemand::value v) {
  bool null = false;
  return read_null(v, null) && null;
}

// Calls visit(name, value) for every field; false from it, or malformed JSON, ends the walk and is the answer.
template <class Visit>
bool for_each_field(simdjson::ondemand::object& object, Visit visit) {
  for (auto field : object) {
    std::string_view name;
    simdjson::ondemand::value value;
    if (field.unescaped_key().get(name) || field.value().get(value)) return false;
    if (!visit(name, value)) return false;
  }
  return true;
}

}  // namespace assay
