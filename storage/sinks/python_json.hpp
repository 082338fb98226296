#pragma once
// JSON as Python's json.dumps writes it. MLflow keeps values as such texts and its filters compare them as texts, so
// what is written past it must be the same, byte for byte.
#include <simdjson.h>

#include <string>

namespace assay {

enum class Numbers {
  doubles,  // every number is one, as protobuf's Value has it: 5 is 5.0
  as_written,
};

// `ascii`: what is not ASCII as \uXXXX, as json.dumps does by default.
void append_python_json(std::string& out, simdjson::dom::element value, Numbers numbers, bool ascii = true);
void append_python_string(std::string& out, std::string_view text, bool ascii = true);
// repr() of a float: 0.8, 5.0, 1e+16, 1e-05. Finite.
void append_python_float(std::string& out, double number);

}  // namespace assay
