#pragma once
// NaN, Infinity and -Infinity, which Python writes into JSON as bare words. JSON has no number for them, and
// boost::json no value: here they are strings that begin with a mark (U+E000, for private use), until they are written
// again.
#include <boost/json/parse_options.hpp>
#include <boost/json/value.hpp>
#include <boost/system/error_code.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace assay {

// Like parse_json (exact_json.hpp), and takes the bare words.
boost::json::value parse_python_json(std::string_view text, boost::system::error_code& ec,
                                     const boost::json::parse_options& options = {});
// The word, where `value` stands for one.
std::optional<std::string_view> python_number(const boost::json::value& value);
// JSON in ASCII, as python_json (python_text.hpp) writes it, with the words bare again.
std::string with_python_numbers(std::string json);

}  // namespace assay
