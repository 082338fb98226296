#pragma once
// Values as Python writes them. MLflow keeps values as such texts and its filters compare them as texts, so what is
// written past it must be the same, byte for byte. Strings given here are valid UTF-8.
#include <simdjson.h>

#include <boost/json/value.hpp>
#include <string>
#include <string_view>

namespace assay {

struct PythonJson {
  bool doubles = false;  // every number is one, as protobuf's Value has it: 5 is 5.0
  bool ascii = true;     // what is not ASCII as \uXXXX, as json.dumps does by default
};

// json.dumps(value)
std::string python_json(const boost::json::value& value, PythonJson how = {});
void append_python_json(std::string& out, simdjson::dom::element value, PythonJson how = {});
void append_python_string(std::string& out, std::string_view text, bool ascii = true);
// repr(float): 0.8, 5.0, 1e+16; of what is not finite json.dumps' words: NaN, Infinity
std::string python_float(double number);
// str(value): a string is itself; else True, None, 5.0, {'a': ['b', 1]}
std::string python_str(const boost::json::value& value);
// repr(bytes): b'a\x99'
std::string python_bytes(std::string_view bytes);

}  // namespace assay
