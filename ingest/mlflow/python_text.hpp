#pragma once
// Values as Python's str() writes them: MLflow keeps a tag of a dataset as such a text.
#include <boost/json/value.hpp>
#include <string>

namespace assay {

// A string is itself; else "True", "None", "5.0", "{'a': ['b', 1]}".
std::string python_str(const boost::json::value& value);

}  // namespace assay
