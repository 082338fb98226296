#include "storage/records/exact_json.hpp"

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/value_stack.hpp>
#include <charconv>
#include <cmath>
#include <string>

namespace assay {
namespace {

namespace json = boost::json;
using boost::system::error_code;

// What boost::json::parse builds its value with, but for on_double.
class ExactHandler {
 public:
  static constexpr std::size_t max_object_size = json::object::max_size(), max_array_size = json::array::max_size(),
                               max_key_size = json::string::max_size(), max_string_size = json::string::max_size();

  ExactHandler(unsigned char* room, std::size_t bytes) : stack_({}, room, bytes) { stack_.reset(); }
  json::value release() { return stack_.release(); }

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code&) { return true; }
  bool on_object_end(std::size_t n, error_code&) { return stack_.push_object(n), true; }
  bool on_array_begin(error_code&) { return true; }
  bool on_array_end(std::size_t n, error_code&) { return stack_.push_array(n), true; }
  bool on_key_part(json::string_view part, std::size_t, error_code&) { return stack_.push_chars(part), true; }
  bool on_key(json::string_view rest, std::size_t, error_code&) { return stack_.push_key(rest), true; }
  bool on_string_part(json::string_view part, std::size_t, error_code&) { return stack_.push_chars(part), true; }
  bool on_string(json::string_view rest, std::size_t, error_code&) { return stack_.push_string(rest), true; }
  bool on_number_part(json::string_view part, error_code&) { return number_.append(part.data(), part.size()), true; }
  bool on_int64(std::int64_t number, json::string_view, error_code&) {
    number_.clear();
    return stack_.push_int64(number), true;
  }
  bool on_uint64(std::uint64_t number, json::string_view, error_code&) {
    number_.clear();
    return stack_.push_uint64(number), true;
  }
  bool on_double(double number, json::string_view rest, error_code& ec) {
    number_.append(rest.data(), rest.size());
    double exact = 0;
    const auto read = std::from_chars(number_.data(), number_.data() + number_.size(), exact);
    number_.clear();
    if (read.ec == std::errc()) number = exact;                       // otherwise too large, or too small and 0
    if (!std::isfinite(number)) ec = json::error::exponent_overflow;  // no other reader takes it
    return !ec && (stack_.push_double(number), true);
  }
  bool on_bool(bool value, error_code&) { return stack_.push_bool(value), true; }
  bool on_null(error_code&) { return stack_.push_null(), true; }
  bool on_comment_part(json::string_view, error_code&) { return true; }
  bool on_comment(json::string_view, error_code&) { return true; }

 private:
  json::value_stack stack_;
  std::string number_;  // its text so far
};

}  // namespace

json::value parse_json(json::string_view text, error_code& ec, const json::parse_options& options) {
  unsigned char room[4096];
  json::basic_parser<ExactHandler> parser(options, room, sizeof room);
  const auto read = parser.write_some(false, text.data(), text.size(), ec);
  if (!ec && read < text.size()) ec = json::error::extra_data;
  return ec ? json::value() : parser.handler().release();
}

json::value parse_stored_json(json::string_view text, error_code& ec) {
  json::parse_options options;
  options.max_depth = stored_depth_max;
  return parse_json(text, ec, options);
}

}  // namespace assay
