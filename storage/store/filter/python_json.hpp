#pragma once
// JSON as Python's json.dumps writes it: MLflow keeps values in this form, and filters compare with it.
#include <boost/json/value.hpp>
#include <string>
#include <string_view>

namespace assay {

// `doubles`: every number is one (protobuf's Value knows no other). `ascii`: \uXXXX for the rest.
std::string python_json(const boost::json::value& value, bool doubles = false, bool ascii = true);
// repr(float): 5.0, 0.1, 1e+16
std::string python_float(double number);
// repr(bytes): b'a\x99'
std::string python_bytes(std::string_view bytes);

}  // namespace assay
